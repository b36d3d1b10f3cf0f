"""The Django project that is served: its WSGI callable and its name."""

from typing import cast
from wsgiref.types import WSGIApplication

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from hurricane import _core, compat, files
from hurricane.interface import choose
from hurricane.loader import LoadError, attempt, find


def load(interface: str) -> tuple[WSGIApplication | _core.DjangoEntry, str]:
    """Builds the application once, and chooses how it is entered; returns that, and why so."""
    if compat.is_legacy() and interface == "auto":
        return files.without_root(build()), "--compat 1.6"
    return choose(interface, build())


def build() -> WSGIApplication:
    """``settings.WSGI_APPLICATION``, or Django's own handler."""
    path: str | None = getattr(settings, "WSGI_APPLICATION", None)
    if path is None or compat.is_legacy():
        built = attempt("cannot build the WSGI application", "", get_wsgi_application)
        return cast("WSGIApplication", built)
    module_name, dot, attribute = path.rpartition(".")
    if not dot:
        raise LoadError(
            f'settings.WSGI_APPLICATION is "{path}", which names no module; '
            'write it as "package.module.attribute"'
        )
    return find(path, module_name, attribute)


def name() -> str:
    """The package that holds the project's settings."""
    module: str | None = getattr(settings, "SETTINGS_MODULE", None)
    return module.partition(".")[0] if module else "django"
