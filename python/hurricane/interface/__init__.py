"""How a Django project is entered: through its WSGI application, or below it.

Below WSGI Django gets a request object that is filled when it is looked at, and its response object
is read as it is. That is for Django's own handler alone, with nothing in front of it and with the
internals that we know: whatever else there is gets its WSGI call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hurricane import server
from hurricane.interface import internals

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from hurricane import _core


def choose(
    wanted: str, application: WSGIApplication
) -> tuple[WSGIApplication | _core.DjangoEntry, str]:
    """Returns what workers call, and why that: ``wanted`` is auto, wsgi or django."""
    if wanted == "wsgi":
        return application, "--interface wsgi"
    obstacle = internals.obstacle(application)
    if obstacle is None:
        from hurricane.interface.entry import enter

        reason = "--interface django" if wanted == "django" else "Django's own WSGI handler"
        return enter(application), reason
    if wanted == "django":
        server.logger.warning(
            "Django cannot be entered below WSGI: %s; the WSGI application is called instead",
            obstacle,
        )
    return application, obstacle
