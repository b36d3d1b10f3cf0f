"""A WSGI application that does nothing: what is counted is the server."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment


def application(_environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Greets."""
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [b"hello\n"]
