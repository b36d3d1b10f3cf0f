"""Has Django tell the route of each request to the server, which counts requests by it."""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.urls import ResolverMatch

KEY = "hurricane.route"


def tell_routes() -> bool:
    """From here on every request's environ has its route; false without Django.

    It is put there where Django finds it, so whatever wraps the application does not hide it.
    """
    base = sys.modules.get("django.core.handlers.base")
    if base is None:
        return False
    resolve = base.BaseHandler.resolve_request

    @wraps(resolve)
    def resolve_request(handler: object, request: HttpRequest) -> ResolverMatch:
        match: ResolverMatch = resolve(handler, request)
        request.META[KEY] = "/" + as_path(match.route)
        return match

    base.BaseHandler.resolve_request = resolve_request
    return True


def as_path(route: str) -> str:
    """The route without what only says where a regular expression begins and ends."""
    return route.removeprefix("^").removesuffix("$").removesuffix("\\Z")
