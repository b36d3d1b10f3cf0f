"""Views that do what a server must cope with. Waiting is for files, so that tests decide."""

import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator

from django.conf import settings
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)

PATIENCE_SECONDS = 30
PIECE_BYTES = 64 * 1024


def wait_for(name: str) -> None:
    """Waits until a test has made a file of that name."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (settings.SIGNALS / name).exists():
        if time.monotonic() > end:
            raise TimeoutError(name)
        time.sleep(0.005)


def note(name: str, text: str) -> None:
    """Appends a line to a file that a test reads."""
    with (settings.SIGNALS / name).open("a") as noted:
        noted.write(text + "\n")


def name_the_process(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Adds the id of the process that answers to every response; notes each time it is built."""
    note("chains", "")

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response["Worker-Pid"] = str(os.getpid())
        return response

    return answer


def hello(_request: HttpRequest) -> HttpResponse:
    """The shortest answer."""
    return HttpResponse("hello", content_type="text/plain")


def echo(request: HttpRequest) -> JsonResponse:
    """What Django saw of a request."""
    body = request.body
    meta = {key: value for key, value in request.META.items() if isinstance(value, str)}
    return JsonResponse(
        {
            "method": request.method,
            "path": request.path,
            "meta": {key: meta[key] for key in meta if key not in os.environ},
            "length": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
            "multithread": request.META["wsgi.multithread"],
            "multiprocess": request.META["wsgi.multiprocess"],
        }
    )


def named(_request: HttpRequest, name: str) -> HttpResponse:
    """The rest of the path as Django decoded it."""
    return HttpResponse(name, content_type="text/plain; charset=utf-8")


def cookies(request: HttpRequest) -> HttpResponse:
    """The cookies that came, and two of its own."""
    response = JsonResponse(dict(request.COOKIES))
    response.set_cookie("first", "1")
    response.set_cookie("second", "2")
    return response


def stream(_request: HttpRequest) -> StreamingHttpResponse:
    """Makes its second piece when the test has seen the first."""

    def pieces() -> Iterator[bytes]:
        yield b"first"
        wait_for("first-was-seen")
        yield b"second"

    return StreamingHttpResponse(pieces(), content_type="text/plain")


def breaks(_request: HttpRequest) -> StreamingHttpResponse:
    """Raises after its first piece."""

    def pieces() -> Iterator[bytes]:
        yield b"first"
        raise RuntimeError("the stream broke")

    return StreamingHttpResponse(pieces(), content_type="text/plain")


def hold(_request: HttpRequest, gate: str) -> HttpResponse:
    """Notes that it was entered, and answers when the test opens the gate."""
    note(f"{gate}-entered", str(os.getpid()))
    wait_for(f"{gate}-open")
    return HttpResponse("released", content_type="text/plain")


def fail(_request: HttpRequest) -> HttpResponse:
    """Raises."""
    raise RuntimeError("a view of the tests raised")


def leave(_request: HttpRequest) -> HttpResponse:
    """Asks Python to end."""
    sys.exit(3)


def fields(_request: HttpRequest) -> HttpResponse:
    """Fields whose values have nothing in them, or spaces around them."""
    return HttpResponse("fields", headers={"X-Empty": "", "X-Spaced": " spaced "})


def empty(_request: HttpRequest) -> HttpResponse:
    """No content."""
    return HttpResponse(status=204)


def sink(request: HttpRequest) -> JsonResponse:
    """Reads a body piece by piece and keeps nothing."""
    size = 0
    while piece := request.read(PIECE_BYTES):
        size += len(piece)
    return JsonResponse({"size": size})


def generated(request: HttpRequest) -> StreamingHttpResponse:
    """So many bytes, made as they are sent."""
    pieces = int(request.GET["size"]) // PIECE_BYTES
    piece = b"y" * PIECE_BYTES
    return StreamingHttpResponse((piece for _ in range(pieces)), content_type="text/plain")
