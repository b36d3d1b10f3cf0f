"""Hurricane serves Django and any other WSGI application on one io_uring core per worker.

Add ``"hurricane"`` to ``INSTALLED_APPS`` and run ``python manage.py serve``, or serve any WSGI
callable with ``hurricane serve package.module:application``.

Nothing here needs configured settings, so that settings modules may import it.
"""

from hurricane._core import __version__

__all__ = ["__version__"]
