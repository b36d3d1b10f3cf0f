"""Bare WSGI applications, each for one rule of PEP 3333."""

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment
from wsgiref.util import shift_path_info
from wsgiref.validate import validator

TEXT = [("Content-Type", "text/plain")]
SIGNALS = Path(os.environ.get("STAGE_SIGNALS", "/nonexistent"))


def hello(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answers hello."""
    start_response("200 OK", TEXT)
    return [b"hello"]


def environ_as_json(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Everything in environ that JSON can hold, the types of the rest."""
    seen = {
        key: value if isinstance(value, str | bool | list | tuple) else type(value).__name__
        for key, value in environ.items()
        if key not in os.environ
    }
    body = environ["wsgi.input"].read()
    seen["body"] = body.decode("latin-1")
    seen["is a dict"] = type(environ) is dict
    payload = json.dumps(seen).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [payload]


def variables(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Names of the environment that the application has, and those that its programs get."""
    printed = subprocess.run(["/usr/bin/env"], stdout=subprocess.PIPE, check=True, text=True)
    names = {line.partition("=")[0] for line in printed.stdout.splitlines()}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(sorted(names | set(os.environ))).encode()]


def reader(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Reads its input in every way that the specification names."""
    stream = environ["wsgi.input"]
    read = [
        stream.read(3),
        stream.readline(),
        stream.readline(2),
        *stream.readlines(6),
        next(iter(stream)),
        stream.read(),
        stream.read(),
        stream.readline(),
    ]
    start_response("200 OK", TEXT)
    return [json.dumps([piece.decode() for piece in read]).encode()]


def _validated(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.errors"].write("the validated application was called\n")
    environ["wsgi.errors"].flush()
    digest = hashlib.sha256(body).hexdigest()
    start_response("200 OK", TEXT)
    return [f"{environ['REQUEST_METHOD']} {len(body)} {digest}".encode()]


validated = validator(_validated)


def writer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Uses the callable that start_response returns, and an iterable after it."""
    write = start_response("200 OK", TEXT)
    write(b"written ")
    write(b"")
    write(b"twice ")
    return [b"and returned"]


class Closing:
    """A body that notes which thread iterated it and which closed it."""

    def __init__(self, pieces: list[bytes], *, breaks: bool = False) -> None:
        self.pieces = iter(pieces)
        self.breaks = breaks
        self.made_by = threading.get_ident()
        self.iterated_by = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.iterated_by = threading.get_ident()
        if self.breaks:
            raise RuntimeError("the body broke")
        return next(self.pieces)

    def close(self) -> None:
        """Notes whether it is the same thread everywhere."""
        same = self.made_by == threading.get_ident() and self.iterated_by in (0, self.made_by)
        with (SIGNALS / "closed").open("a") as closed:
            closed.write(f"same thread: {same}\n")


def closing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A body with close(), whole or broken."""
    start_response("200 OK", TEXT)
    return Closing([b"one", b"two"], breaks=environ["QUERY_STRING"] == "breaks")


def raising(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Raises before or after the headers, as the path says."""
    path = environ["PATH_INFO"]
    if path == "/before":
        raise RuntimeError("before start_response")
    write = start_response("200 OK", TEXT)
    if path == "/unsent":
        raise RuntimeError("after start_response, before a byte")
    write(b"sent")
    raise RuntimeError("after the headers were sent")


def replaced(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Replaces the headers with exc_info, before or after they were sent."""
    write = start_response("200 OK", [*TEXT, ("Old", "1")])
    try:
        int("not a number")
    except ValueError:
        info: Any = sys.exc_info()
        if environ["PATH_INFO"] == "/sent":
            write(b"sent")
        start_response("502 Replaced", [*TEXT, ("New", "1")], info)
    return [b"replaced"]


def wrongly(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Breaks a rule of PEP 3333, as the path says."""
    path = environ["PATH_INFO"]
    if path == "/no-start":
        return [b"never started"]
    if path == "/twice":
        start_response("200 OK", TEXT)
        start_response("200 OK", TEXT)
    if path == "/text":
        start_response("200 OK", TEXT)
        return ["text"]  # type: ignore[list-item]
    if path == "/split":
        start_response("200 OK", [*TEXT, ("Evil", "a\r\nInjected: 1")])
    if path == "/status":
        start_response("OK", TEXT)
    if path == "/hop":
        start_response("200 OK", [*TEXT, ("Transfer-Encoding", "chunked")])
    return [b"body"]


def lengths(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Declares ten bytes and gives what the path says."""
    start_response("200 OK", [*TEXT, ("Content-Length", "10")])
    if environ["PATH_INFO"] == "/short":
        return [b"12345"]
    return [b"12345", b"67890", b"too much"]


def told(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answers as the body of the request says, right or wrong."""
    answer = json.loads(environ["wsgi.input"].read())
    start_response(answer["status"], [(name, value) for name, value in answer["fields"]])
    parts = [part.encode() for part in answer["parts"]]
    return failing(parts) if answer["fails"] else parts if answer["whole"] else iter(parts)


def failing(parts: list[bytes]) -> Iterator[bytes]:
    """Raises where the next part should come."""
    yield from parts
    raise RuntimeError("no more parts")


def wrapped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A file through wsgi.file_wrapper, from where it stands."""
    wrapper: Callable[..., Iterable[bytes]] = environ["wsgi.file_wrapper"]
    path = environ["PATH_INFO"]
    headers = list(TEXT)
    opened: Any
    if path == "/memory":
        opened = io.BytesIO(b"in memory")
    elif path == "/pipe":
        reading, writing = os.pipe()
        os.write(writing, b"from a pipe")
        os.close(writing)
        opened = os.fdopen(reading, "rb")
    else:
        opened = (SIGNALS / "file").open("rb")
        opened.seek(int(environ["QUERY_STRING"] or 0))
    if path == "/declared":
        headers.append(("Content-Length", "7"))
    start_response("200 OK", headers)
    return wrapper(opened, 8192)


class Noted:
    """Writes what it was told into wsgi.errors and ends with an exception in close()."""

    def __init__(self, environ: WSGIEnvironment) -> None:
        self.errors = environ["wsgi.errors"]

    def __iter__(self) -> Iterator[bytes]:
        yield b"body"

    def close(self) -> None:
        """Raises, when the response has been sent."""
        self.errors.write("about to raise in close\n")
        raise RuntimeError("close raised")


def close_raises(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """An exception in close()."""
    start_response("200 OK", TEXT)
    return Noted(environ)


def held(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answers when the test opens the gate that the path names."""
    gate = environ["PATH_INFO"].strip("/")
    with (SIGNALS / f"{gate}-entered").open("a") as entered:
        entered.write(f"{os.getpid()}\n")
    end = time.monotonic() + 30
    while not (SIGNALS / f"{gate}-open").exists():
        if time.monotonic() > end:
            raise TimeoutError(gate)
        time.sleep(0.005)
    start_response("200 OK", TEXT)
    return [b"released"]


class Statuses:
    """An application that is an object, with its methods as attributes to name."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answers with the status in the path and one piece."""
        status = environ["PATH_INFO"].strip("/")
        start_response(status, TEXT)
        return [b"piece"]


statuses = Statuses()
not_callable = 42


def dispatch(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Calls the application that the first segment of the path names, with the rest of it."""
    name = shift_path_info(environ) or "hello"
    application: Callable[..., Iterable[bytes]] = globals()[name]
    return application(environ, start_response)
