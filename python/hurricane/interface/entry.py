"""What the extension module is given to enter Django: its functions, classes and tables."""

from __future__ import annotations

import weakref
from http.client import responses
from typing import TYPE_CHECKING, Any

from django import VERSION, db
from django.conf import settings
from django.core import cache, signals
from django.core.handlers import base, wsgi
from django.http import QueryDict
from django.http.cookie import parse_cookie
from django.http.response import (
    HttpResponse,
    HttpResponseBase,
    ResponseHeaders,
    StreamingHttpResponse,
)
from django.urls import base as urls
from django.utils.log import log_response

from hurricane._core import DjangoEntry
from hurricane.interface import loop
from hurricane.interface.request import WSGIRequest

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from django.dispatch import Signal

# Before 6.0 Django's WSGI handler leaves a space before a cookie.
COOKIE_BEGIN = "" if VERSION >= (6,) else " "


def enter(application: WSGIApplication) -> DjangoEntry:
    """The way into Django behind its WSGI handler, which has loaded the middleware."""
    handler: Any = application
    return DjangoEntry(
        {
            "request_class": WSGIRequest,
            "fill_request": wsgi.WSGIRequest.__init__,
            "handler_class": wsgi.WSGIHandler,
            "chain": handler.__dict__["_middleware_chain"],
            "log_response": log_response,
            "limited_stream": wsgi.LimitedStream,
            "parse_cookie": parse_cookie,
            "query_dict": QueryDict,
            "settings": settings,
            "prefixes": vars(urls)["_prefixes"],
            "set_script_prefix": urls.set_script_prefix,
            "urlconfs": vars(urls)["_urlconfs"],
            "set_urlconf": urls.set_urlconf,
            "connections": db.connections,
            "caches": cache.caches,
            "reset_queries": db.reset_queries,
            "close_old_connections": db.close_old_connections,
            "close_caches": cache.close_caches,
            "request_started": signals.request_started,
            "started_receivers": own_receivers(
                signals.request_started, [db.reset_queries, db.close_old_connections]
            ),
            "request_finished": signals.request_finished,
            "finished_receivers": own_receivers(
                signals.request_finished,
                [db.close_old_connections, cache.close_caches, base.reset_urlconf],
            ),
            "iterate": HttpResponse.__iter__,
            "iterate_stream": StreamingHttpResponse.__iter__,
            "items": HttpResponseBase.items,
            "reason_phrase": vars(HttpResponseBase)["reason_phrase"],
            "close": HttpResponseBase.close,
            "response_headers": ResponseHeaders,
            "reasons": responses,
            "cookie_begin": COOKIE_BEGIN,
            "announce": announce,
            "join_loop": loop.join,
            "stream": loop.stream,
        }
    )


def own_receivers(signal: Signal, functions: list[Any]) -> list[object]:
    """The entries of a signal's receivers that are these functions; none if one is missing.

    Others may come and go: the extension compares with what is connected at each request.
    """
    entries = []
    for entry in signal.receivers:
        reference = entry[1]
        receiver = reference() if isinstance(reference, weakref.ref) else reference
        if receiver in functions:
            entries.append(entry)
    return entries if len(entries) == len(functions) else []


def announce(response: HttpResponseBase) -> tuple[str, list[tuple[str, str]]]:
    """Status line and headers through a response's methods, which its class may have replaced."""
    cookies = [COOKIE_BEGIN + cookie.OutputString() for cookie in response.cookies.values()]
    headers = [*response.items(), *(("Set-Cookie", cookie) for cookie in cookies)]
    return f"{response.status_code:d} {response.reason_phrase}", headers
