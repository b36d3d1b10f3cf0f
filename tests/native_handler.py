"""Our request class and handler in the place of Django's, inside one process: for Django's tests.

A request that Django's test client describes by an environ is written out as the bytes that a peer
would send, and made natively of these; middleware and view are called natively, and the head that
would be sent is compared with what Django's handler would announce.
"""

from __future__ import annotations

from io import BytesIO
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote_from_bytes

from django.conf import settings
from django.core.handlers import wsgi
from django.test import client

from hurricane._core import Rehearsal
from hurricane.interface import entry
from hurricane.interface.entry import announce, enter
from hurricane.interface.request import STOCK, WSGIRequest

PATH_SAFE = "/!$&'()*+,;=:@~"

stock_call = wsgi.WSGIHandler.__call__
stock_get_response = client.ClientHandler.get_response
# Requests that were made natively, and all that were asked for.
counts = {"native": 0, "all": 0}


class Native(type):
    """Makes requests natively, where Django's tests call the class with an environ."""

    def __call__(cls, environ: dict[str, Any]) -> Any:
        """A request of this class; of a subclass as that has it."""
        counts["all"] += 1
        made = native(environ) if cls is Request else None
        if made is None:
            return super().__call__(environ)
        counts["native"] += 1
        return made


class Request(WSGIRequest, metaclass=Native):
    """Our request class."""


# As it is named in logs and error pages.
Request.__name__ = Request.__qualname__ = "WSGIRequest"


def put_in_place() -> None:
    """From now on Django's tests use ours."""
    for place, name, ours in (
        (wsgi, "WSGIRequest", Request),
        (client, "WSGIRequest", Request),
        (entry, "WSGIRequest", Request),
        (wsgi.WSGIHandler, "request_class", Request),
        (wsgi.WSGIHandler, "__call__", call),
        (client.ClientHandler, "get_response", get_response),
    ):
        setattr(place, name, ours)


def native(environ: dict[str, Any]) -> WSGIRequest | None:
    """The request made natively; none if no peer could have sent it, or Django has to fill it."""
    sent = wire(environ)
    if sent is None or settings.FORCE_SCRIPT_NAME is not None:
        return None
    nobody: Any = SimpleNamespace(_middleware_chain=None)
    made: WSGIRequest | None = Rehearsal(enter(nobody)).request(sent, environ)
    return made


def wire(environ: dict[str, Any]) -> bytes | None:
    """The bytes of which a server makes this environ; none if there are none."""
    body = sent_body(environ)
    surplus = {"SCRIPT_NAME", "SCRIPT_URL", "REDIRECT_URL"}
    if body is None or any(environ.get(name) for name in surplus):
        return None
    path, query = environ.get("PATH_INFO", "/"), environ.get("QUERY_STRING", "")
    fields = {
        name[5:].replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("HTTP_") and name not in ("HTTP_CONTENT_LENGTH", "HTTP_EXPECT")
    }
    fields.setdefault("HOST", "testserver")
    if environ.get("CONTENT_TYPE"):
        fields["CONTENT-TYPE"] = environ["CONTENT_TYPE"]
    if body:
        fields["CONTENT-LENGTH"] = str(len(body))
    try:
        target = quote_from_bytes(path.encode("latin-1"), PATH_SAFE) + (query and f"?{query}")
        lines = [f"{environ['REQUEST_METHOD']} {target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
    except (AttributeError, UnicodeEncodeError):
        return None


def sent_body(environ: dict[str, Any]) -> bytes | None:
    """The body, left unread; none if it cannot be had without reading it."""
    length = str(environ.get("CONTENT_LENGTH") or "0")
    if length == "0":
        return b""
    payload = environ.get("wsgi.input")
    if type(payload) is client.FakePayload and not payload.read_started:
        payload = vars(payload)["_FakePayload__content"]
    elif type(payload) is not BytesIO or payload.tell() > 0:
        return None
    body: bytes = payload.getvalue()
    return body if length == str(len(body)) else None


def get_response(handler: Any, made: Any) -> Any:
    """In the place of ``ClientHandler.get_response``."""
    is_own = type(handler).__call__ is client.ClientHandler.__call__
    if not is_own or not isinstance(made, STOCK):
        return stock_get_response(handler, made)
    rehearsal = Rehearsal(enter(handler))
    response = rehearsal.get_response(made)
    compare(rehearsal, response)
    return response


def compare(rehearsal: Rehearsal, response: Any) -> None:
    """The head that we would send is the one that Django's handler would announce."""
    status, headers = announce(response)
    code, reason, fields = rehearsal.head(response)
    assert (f"{code} ".encode() + reason).rstrip() == status.encode("latin-1").rstrip()
    assert fields == [(name.encode("latin-1"), it.encode("latin-1")) for name, it in headers]


def call(handler: Any, environ: dict[str, Any], start_response: Any) -> Any:
    """In the place of ``WSGIHandler.__call__``."""
    counts["all"] += 1
    made = native(environ) if type(handler) is wsgi.WSGIHandler else None
    if made is None:
        return stock_call(handler, environ, start_response)
    counts["native"] += 1
    rehearsal = Rehearsal(enter(handler))
    response: Any = rehearsal.respond(made)
    code, reason, fields = rehearsal.head(response)
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]
    start_response(f"{code} {reason.decode('latin-1')}", headers)
    file, wrapper = getattr(response, "file_to_stream", None), environ.get("wsgi.file_wrapper")
    if file is None or wrapper is None:
        return response
    file.close = response.close
    return wrapper(file, response.block_size)
