"""Views that do what a server must cope with. Waiting is for files, so that tests decide."""

import ctypes
import gc
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.signals import request_finished, request_started
from django.db import connection
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    JsonResponse,
    StreamingHttpResponse,
)
from django.http.response import HttpResponseBase

PATIENCE_SECONDS = 30
PIECE_BYTES = 64 * 1024
LEAKED: list[bytes] = []


def wait_for(name: str) -> None:
    """Waits until a test has made a file of that name."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (settings.SIGNALS / name).exists():
        if time.monotonic() > end:
            raise TimeoutError(name)
        time.sleep(0.005)


def hang_at_start(moment: str) -> None:
    """Waits for ever if a test wants this moment of the start to last."""
    if os.environ.get("STAGE_START_HANGS") == moment:
        note(f"{moment}-entered", str(os.getpid()))
        wait_for(f"{moment}-open")


def note(name: str, text: str) -> None:
    """Appends a line to a file that a test reads."""
    with (settings.SIGNALS / name).open("a") as noted:
        noted.write(text + "\n")


def hello(_request: HttpRequest) -> HttpResponse:
    """The shortest answer."""
    return HttpResponse("hello", content_type="text/plain")


def slow(_request: HttpRequest) -> HttpResponse:
    """Takes its time, as a page does that asks another service."""
    time.sleep(0.3)
    return HttpResponse("slow", content_type="text/plain")


def leak(request: HttpRequest) -> HttpResponse:
    """Takes memory for ever."""
    LEAKED.append(b"x" * (int(request.GET["mib"]) << 20))
    return HttpResponse("leaked", content_type="text/plain")


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
        }
    )


def named(_request: HttpRequest, name: str) -> HttpResponse:
    """The rest of the path as Django decoded it."""
    return HttpResponse(name, content_type="text/plain; charset=utf-8")


def named_book(_request: HttpRequest, number: int) -> HttpResponse:
    """A book, unless its number is odd."""
    return HttpResponse(b"x" * number, status=404 if number % 2 else 200)


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


def endless(_request: HttpRequest) -> StreamingHttpResponse:
    """Makes pieces for ever and notes how many, and that it was closed."""

    def pieces() -> Iterator[bytes]:
        made = 0
        try:
            while True:
                made += 1
                (settings.SIGNALS / "pieces").write_text(str(made))
                yield b"x" * PIECE_BYTES
        finally:
            note("endless-closed", str(threading.get_ident()))

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


def hold_interpreter(request: HttpRequest) -> HttpResponse:
    """Sleeps in C without letting go of the interpreter."""
    seconds = float(request.GET["seconds"])
    note("gil-held", str(os.getpid()))
    ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))
    return HttpResponse("released", content_type="text/plain")


def block(_request: HttpRequest, name: str) -> HttpResponse:
    """Reads from a pipe that nobody writes to."""
    reader, _writer = os.pipe()
    note(f"{name}-blocked", str(os.getpid()))
    return HttpResponse(os.read(reader, 1), content_type="text/plain")


def spin(_request: HttpRequest) -> HttpResponse:
    """Computes in Python until the test has seen enough."""
    note("spinning", str(os.getpid()))
    while not (settings.SIGNALS / "spun").exists():
        for _ in range(10_000):
            pass
    return HttpResponse("spun", content_type="text/plain")


def compute(request: HttpRequest) -> HttpResponse:
    """Computes in C without letting go of the interpreter."""
    note("computing", str(os.getpid()))
    return HttpResponse(str(sum(range(int(request.GET["count"])))), content_type="text/plain")


def allocate(request: HttpRequest) -> HttpResponse:
    """Fills so many bytes of memory."""
    note("allocating", str(os.getpid()))
    return HttpResponse(str(len(bytearray(b"x") * int(request.GET["size"]))))


def crash(_request: HttpRequest) -> HttpResponse:
    """Reads where nothing is."""
    return HttpResponse(ctypes.string_at(0), content_type="text/plain")


def fail(_request: HttpRequest) -> HttpResponse:
    """Raises."""
    raise RuntimeError("a view of the tests raised")


def leave(_request: HttpRequest) -> HttpResponse:
    """Asks Python to end."""
    sys.exit(3)


def vanish(_request: HttpRequest) -> HttpResponse:
    """Ends the process without a word."""
    os._exit(3)


def fork(_request: HttpRequest) -> HttpResponse:
    """Forks, and lets the child live for a moment beside the server."""
    with warnings.catch_warnings():
        # The process has threads, and the child does nothing that needs them.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return HttpResponse("forked", content_type="text/plain")


def empty(_request: HttpRequest) -> HttpResponse:
    """No content."""
    return HttpResponse(status=204)


def upload(request: HttpRequest) -> JsonResponse:
    """A form with a file."""
    sent = request.FILES["file"]
    assert isinstance(sent, UploadedFile)
    digest = hashlib.sha256()
    for piece in sent.chunks():
        digest.update(piece)
    return JsonResponse(
        {"name": sent.name, "size": sent.size, "sha256": digest.hexdigest(), **request.POST.dict()}
    )


def sink(request: HttpRequest) -> JsonResponse:
    """Reads a body piece by piece and keeps nothing."""
    size = 0
    while piece := request.read(PIECE_BYTES):
        size += len(piece)
    return JsonResponse({"size": size, "declared": request.META.get("CONTENT_LENGTH")})


def told(request: HttpRequest) -> HttpResponseBase:
    """Answers as the body of the request says, right or wrong."""
    answer = json.loads(request.body)
    code, _, reason = answer["status"].partition(" ")
    parts = [part.encode() for part in answer["parts"]]

    def failing() -> Iterator[bytes]:
        yield from parts
        raise RuntimeError("no more parts")

    response: HttpResponseBase
    if answer["fails"] or not answer["whole"]:
        response = StreamingHttpResponse(failing() if answer["fails"] else iter(parts))
    else:
        response = HttpResponse(b"".join(parts))
    response.status_code, response.reason_phrase = int(code), reason
    for name, value in answer["fields"]:
        # Past the checks of Django's own.
        vars(response.headers)["_store"][name.lower()] = (name, value)
    return response


def handed(request: HttpRequest) -> HttpResponse:
    """Lets the server hand out a file that the test names, in the way that it names."""
    response = HttpResponse("in place of the file", status=int(request.GET.get("status", "200")))
    response[request.GET["by"]] = request.GET["name"]
    response["Content-Disposition"] = "attachment"
    response["ETag"] = '"of the body"'
    if "untyped" in request.GET:
        del response["Content-Type"]
    return response


def file(request: HttpRequest) -> FileResponse:
    """A file of the wanted size, from ``at`` on."""
    path = settings.SIGNALS / f"file-{request.GET['size']}"
    opened = path.open("rb")
    opened.seek(int(request.GET.get("at", "0")))
    return FileResponse(opened, content_type="application/octet-stream")


def generated(request: HttpRequest) -> StreamingHttpResponse:
    """So many bytes, made as they are sent."""
    pieces = int(request.GET["size"]) // PIECE_BYTES
    piece = b"y" * PIECE_BYTES
    return StreamingHttpResponse((piece for _ in range(pieces)), content_type="text/plain")


def orphan(_request: HttpRequest) -> HttpResponse:
    """Leaves a process without a parent."""
    subprocess.run(["sh", "-c", "sleep 0.1 &"], check=True)
    return HttpResponse("adopted", content_type="text/plain")


def mask(_request: HttpRequest) -> HttpResponse:
    """What a program that a view starts inherits."""
    return HttpResponse(inherited_signals(), content_type="text/plain")


def inherited_signals() -> str:
    """Which signals a program finds blocked and ignored."""
    words = ["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"]
    status = subprocess.run(words, check=True, capture_output=True, text=True)
    return " ".join(status.stdout.split())


def threads(_request: HttpRequest) -> StreamingHttpResponse:
    """Names the threads of the view, its body, its signals, and of a database connection."""
    here = threading.get_ident()
    connection.ensure_connection()

    def finished(**_kwargs: object) -> None:
        request_finished.disconnect(finished)
        open_still = connection.connection is not None
        note("finished", f"{threading.get_ident() == here} {open_still}")

    def pieces() -> Iterator[str]:
        yield str(threading.get_ident() == here)

    # Connected last, so it runs after Django has closed old connections.
    request_finished.connect(finished, weak=False)
    assert request_started.has_listeners()
    return StreamingHttpResponse(pieces(), content_type="text/plain")


def frozen(_request: HttpRequest) -> HttpResponse:
    """How many objects the collector leaves alone since the fork."""
    return HttpResponse(str(gc.get_freeze_count()), content_type="text/plain")


def announce(request: HttpRequest) -> HttpResponse:
    """Sends a webhook of its own to a URL, as any code of a project may."""
    from hurricane.webhooks.base import WebhookStatus
    from stage.webhooks import Deployment

    Deployment().run(url=request.GET["url"], status=WebhookStatus.WARNING, error_trace="by a view")
    return HttpResponse("announced")
