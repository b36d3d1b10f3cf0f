"""A raw HTTP/1.1 client: what is sent is what the test wrote, what came back is kept as it was."""

import json
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

TIMEOUT_SECONDS = 15.0
CRLF2 = b"\r\n\r\n"


@dataclass
class Response:
    """One response, its body without framing."""

    status: int
    reason: str
    version: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    head: bytes = b""
    chunks: list[bytes] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        """Every value of a field, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """The only value of a field; more than one fails the test."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} is repeated: {values}"
        return values[0] if values else None

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Closed(Exception):  # noqa: N818
    """The server closed or reset the connection before what was awaited had come."""


class Connection:
    """One connection to a server on this machine: to a port, or to a Unix domain socket."""

    def __init__(
        self, place: int | Path, timeout: float = TIMEOUT_SECONDS, host: str = "127.0.0.1"
    ) -> None:
        if isinstance(place, Path):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(str(place))
        else:
            self.socket = socket.create_connection((host, place), timeout=timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes our side."""
        self.socket.close()

    def reset(self) -> None:
        """Ends the connection with a reset: nobody reads any more."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def send(self, data: bytes) -> None:
        """Sends all of it."""
        self.socket.sendall(data)

    def get(self, path: str = "/", *headers: str) -> Response:
        """One GET and its response."""
        self.send(request("GET", path, *headers))
        return self.response()

    def fill(self) -> None:
        """Receives once; at the end of the stream raises ``Closed``."""
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionError as error:
            raise Closed(f"{error}; so far {self.buffer[:200]!r}") from error
        if not data:
            raise Closed(f"end of stream; so far {self.buffer[:200]!r}")
        self.buffer += data

    def until(self, mark: bytes) -> bytes:
        """Everything up to and with ``mark``."""
        while mark not in self.buffer:
            self.fill()
        taken, mark, self.buffer = self.buffer.partition(mark)
        return taken + mark

    def exactly(self, count: int) -> bytes:
        """So many bytes."""
        while len(self.buffer) < count:
            self.fill()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def rest(self) -> bytes:
        """Everything up to the end of the stream."""
        try:
            while True:
                self.fill()
        except Closed:
            taken, self.buffer = self.buffer, b""
            return taken

    def is_closed_by_peer(self) -> bool:
        """Waits for the end of the stream; false if something came instead."""
        return self.rest() == b""

    def head(self) -> Response:
        """The next response's head; its body stays unread."""
        raw = self.until(CRLF2)
        status_line, *lines = raw[: -len(CRLF2)].decode("latin-1").split("\r\n")
        version, status, reason = status_line.split(" ", 2)
        headers = []
        for line in lines:
            name, colon, value = line.partition(":")
            assert colon, f"no colon in {line!r}"
            headers.append((name, value.strip()))
        return Response(int(status), reason, version, headers, head=raw)

    def response(self, method: str = "GET") -> Response:
        """The next final response with its body."""
        response = self.head()
        while response.status == 100:
            response = self.head()
        response.body = self.body_of(response, method)
        return response

    def body_of(self, response: Response, method: str) -> bytes:
        """The body that a head announces."""
        length = response.header("Content-Length")
        coding = response.header("Transfer-Encoding")
        if method == "HEAD" or response.status in (204, 304):
            return b""
        if coding is not None:
            assert coding == "chunked"
            assert length is None
            while chunk := self.chunk():
                response.chunks.append(chunk)
            return b"".join(response.chunks)
        if length is not None:
            return self.exactly(int(length))
        return self.rest()

    def chunk(self) -> bytes:
        """The next chunk; empty at the end of a chunked body, whose trailer must be empty."""
        size = int(self.until(b"\r\n"), 16)
        data = self.exactly(size + 2)
        assert data.endswith(b"\r\n")
        return data[:-2]

    def drop(self, count: int) -> None:
        """Receives so many bytes and forgets them, without keeping them in memory."""
        taken = min(count, len(self.buffer))
        self.buffer = self.buffer[taken:]
        count -= taken
        room = bytearray(1 << 18)
        view = memoryview(room)
        while count > 0:
            got = self.socket.recv_into(view[: min(len(room), count)])
            if got == 0:
                raise Closed(f"{count} bytes are missing")
            count -= got


def request(
    method: str, target: str, *headers: str, body: bytes = b"", version: str = "HTTP/1.1"
) -> bytes:
    """A request with a Host field, and a Content-Length if there is a body."""
    lines = [f"{method} {target} {version}", "Host: localhost", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + CRLF2 + body


def chunked(*chunks: bytes) -> bytes:
    """A chunked body."""
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


def get(place: int | Path, path: str = "/", *headers: str) -> Response:
    """One GET on a connection of its own, which the server closes."""
    with Connection(place) as connection:
        connection.send(request("GET", path, "Connection: close", *headers))
        response = connection.response()
        assert connection.is_closed_by_peer()
        return response


def post(port: int, path: str, body: bytes, *headers: str) -> Response:
    """One POST on a connection of its own."""
    with Connection(port) as connection:
        connection.send(request("POST", path, "Connection: close", *headers, body=body))
        return connection.response()
