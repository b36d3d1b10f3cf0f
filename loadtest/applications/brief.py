"""A WSGI application that takes 20 ms of waiting, as a page with some queries does."""

import time
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

BODY = b"brief"
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]


def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answers after 20 ms."""
    time.sleep(0.02)
    start_response("200 OK", HEADERS)
    return [BODY]
