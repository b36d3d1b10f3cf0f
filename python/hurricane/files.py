"""What ``--static`` and ``--media`` mean: which directories a project's settings name.

Asked once, after the application is loaded and after the commands of the start, of which
``collectstatic`` may be one. From then on the server's loops serve the files; Python is not asked
again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from hurricane import compat, server
from hurricane.loader import LoadError
from hurricane.server import announcements

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from hurricane._core import FileMount

STATICFILES = "django.contrib.staticfiles"
# What a URL's path may hold without being encoded; what is encoded already stays so.
PATH_CHARACTERS = "/%:@!$&'()*+,;=~"


def mounts(static: bool, media: bool) -> list[FileMount]:
    """The directories of static files and of uploads, as far as they are asked for.

    Raises ``LoadError`` when settings do not say where they are, or there is no such directory.
    """
    found = []
    if static and lacks_root():
        rootless.append(url_path("STATIC_URL", "--static"))
    elif static:
        found.append(static_files())
    if media:
        found.append(media_files())
    return found


def lacks_root() -> bool:
    """Whether each static file is an error, as it was, where settings say nothing of the root."""
    from django.apps import apps
    from django.conf import settings

    is_found = settings.DEBUG and apps.is_installed(STATICFILES)
    return compat.is_legacy() and not settings.STATIC_ROOT and not is_found


# Below which paths nothing but errors is served.
rootless: list[str] = []


def without_root(application: WSGIApplication) -> WSGIApplication:
    """The application, with an error in place of each static file that has no root."""

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if rootless and environ["PATH_INFO"].startswith(tuple(rootless)):
            start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
            return [b"STATIC_ROOT is not set"]
        return application(environ, start_response)

    return serve


def static_files() -> FileMount:
    """``STATIC_ROOT`` below ``STATIC_URL``, or what the finders find while ``DEBUG`` is on."""
    from django.apps import apps
    from django.conf import settings

    prefix = url_path("STATIC_URL", "--static")
    if settings.DEBUG and apps.is_installed(STATICFILES):
        roots = list(found_roots())
        places = ", ".join(directory for _, directory in roots) or "no directory"
        announce("static", settings.STATIC_URL, places)
        return (prefix, roots, [], True, True)
    remedy = (
        'run "manage.py collectstatic", or start with --command "collectstatic --no-input"'
        if apps.is_installed(STATICFILES)
        else "create it"
    )
    root = directory("STATIC_ROOT", "--static", remedy)
    announce("static", settings.STATIC_URL, root)
    return (prefix, [("", root)], hashed_names(), True, settings.DEBUG)


def media_files() -> FileMount:
    """``MEDIA_ROOT`` below ``MEDIA_URL``."""
    from django.conf import settings

    prefix = url_path("MEDIA_URL", "--media")
    root = directory("MEDIA_ROOT", "--media", "create it, or mount the volume that holds it")
    announce("media", settings.MEDIA_URL, root)
    return (prefix, [("", root)], [], False, settings.DEBUG)


def announce(kind: str, url: str, places: str) -> None:
    """Says what is served; the event's name is not the same for both."""
    announcements.announce(
        f"Serving {kind} files under {url} from {places}",
        event="Serving statics" if kind == "static" else "Serving media",
        prefix=url,
        root=places,
    )


def url_path(setting: str, flag: str) -> str:
    """The path of the URL in a setting; of a content delivery network's too, which asks us."""
    from django.conf import settings

    path = urlsplit(str(getattr(settings, setting, "") or "")).path
    if not path.strip("/"):
        raise LoadError(
            f"{flag} needs settings.{setting}, which is "
            f'"{getattr(settings, setting, "") or ""}" and would take every URL; '
            'set it to a path such as "/files/"'
        )
    return quote(path if path.startswith("/") else f"/{path}", safe=PATH_CHARACTERS)


def directory(setting: str, flag: str, remedy: str) -> str:
    """The directory in a setting, which must exist."""
    from django.conf import settings

    value = getattr(settings, setting, None)
    if not value:
        raise LoadError(f"{flag} needs settings.{setting}; set it to the directory of the files")
    path = Path(value).absolute()
    if not path.is_dir():
        raise LoadError(f"{flag}: settings.{setting} is {path}, which is no directory; {remedy}")
    return str(path)


def hashed_names() -> list[str]:
    """The names in the manifest of the staticfiles storage: each changes with its file."""
    from django.apps import apps

    if not apps.is_installed(STATICFILES):
        return []
    from django.contrib.staticfiles.storage import staticfiles_storage

    names: dict[str, str] = getattr(staticfiles_storage, "hashed_files", {})
    return list(names.values())


def found_roots() -> Iterator[tuple[str, str]]:
    """Where below the URL which directory is, in the order in which the finders look."""
    from django.contrib.staticfiles.finders import get_finders

    for finder in get_finders():
        storages = storages_of(finder)
        if storages is None:
            server.logger.warning(
                "%s has no storages that tell where its files are: they are not served",
                type(finder).__name__,
            )
            continue
        for storage in storages:
            location = getattr(storage, "location", None)
            if location is not None:
                prefix = getattr(storage, "prefix", None)
                yield (f"{prefix}/" if prefix else "", str(location))


def storages_of(finder: Any) -> list[Any] | None:  # noqa: ANN401 - finders share no type for it
    """The storages of a finder: of directories, of apps, or the one that it stands for."""
    storages = getattr(finder, "storages", None)
    if isinstance(storages, dict):
        return list(storages.values())
    storage = getattr(finder, "storage", None)
    return None if storage is None else [storage]
