"""Hurricane serves Django and any other WSGI application on one io_uring core per worker.

Add ``"hurricane"`` to ``INSTALLED_APPS`` and run ``python manage.py serve``, or serve any WSGI
callable with ``hurricane serve package.module:application``.

Nothing here needs configured settings, so that settings modules may import it.
"""

import os
import sys
from pathlib import Path

from hurricane import _core
from hurricane._core import __version__

__all__ = ["__version__"]

# Django imports the project before it knows the command, and that may take long: whoever tells the
# process to stop meanwhile must be heard, above all where it is PID 1 and has no default action.
if sys.argv[1:2] in (["serve"], ["consume"]) and Path(sys.argv[0]).name in {
    "-m",  # what Python says while it looks for the module to run
    "__main__.py",
    "django-admin",
    "hurricane",
    "manage.py",
}:
    _core.heed_signals()
    # The same for whoever develops it: what is wrong with the project's code must not end it.
    if any(word.startswith("--autoreload") for word in sys.argv) or os.environ.get(
        "HURRICANE_AUTORELOAD"
    ):
        from hurricane import development

        if development.is_wanted(sys.argv[2:], {}):
            development.heed_failures()
