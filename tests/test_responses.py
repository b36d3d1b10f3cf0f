"""No byte of an application ends a line or a message that it should not, whichever way it came."""

import json
import socket
import struct
from collections.abc import Generator, Sequence
from functools import partial

import pytest

from condition import wait_until
from conftest import Starter
from serving import Server
from wire import request

Field = tuple[str, str]

TEN = ("Content-Length", "10")
NAMES = ["", " ", "Ev il", "Evil:", "Ev\r\nil", "Ev\nil", "Ev\0il", "Ev\x7fil", "\u00c9vil"]
VALUES = ["a\r\nInjected: 1", "a\nInjected: 1", "a\rInjected: 1", "a\r\n\r\nHTTP/1.1 200 OK"]
VALUES += ["a\0b", "a\x01b", "a\x7fb"]
STATUSES = [
    "200 OK\r\nInjected: 1",
    "200 OK\0",
    "200 OK\n",
    "100 Continue",
    "101 Upgrade",
    "103 Hints",
]
HOP_BY_HOP = ["Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "TE"]
HOP_BY_HOP += ["Trailer", "Trailers", "transfer-encoding", "Upgrade"]
LENGTHS = ["abc", "-1", "+1", "1, 1", "0x1", "1.0", "", "18446744073709551616"]


@pytest.fixture(scope="module", params=["wsgi", "django"])
def way(request: pytest.FixtureRequest, engine: str) -> Generator[Server]:
    """A server that answers as it is told: through WSGI, and below it."""
    starter = Starter(engine)
    try:
        yield starter(application="wsgi_apps:dispatch" if request.param == "wsgi" else None)
    finally:
        starter.end()


def ask(
    *fields: Field,
    status: str = "200 OK",
    parts: Sequence[str] = ("piece",),
    whole: bool = True,
    fails: bool = False,
    method: str = "POST",
) -> bytes:
    """A request for such an answer."""
    told = {"status": status, "fields": fields, "parts": parts, "whole": whole, "fails": fails}
    return request(method, "/told", body=json.dumps(told).encode())


def test_heads_that_are_none_are_a_500(way: Server) -> None:
    asked = [ask((name, "value")) for name in NAMES]
    asked += [ask(("X-Evil", value)) for value in VALUES]
    asked += [ask(status=status) for status in STATUSES]
    asked += [ask((name, "chunked")) for name in HOP_BY_HOP]
    asked += [ask(("Connection", "upgrade")), ask(("Connection", "keep-alive, X-Evil"))]
    asked += [ask(("Content-Length", length)) for length in LENGTHS]
    asked += [ask(("Content-Length", "5"), ("content-Length ", "5"))]
    for each in asked:
        with way.connect() as connection:
            connection.send(each)
            response = connection.response()
            assert response.status == 500, each
            assert b"Injected" not in response.head + response.body, each
            assert response.header("Transfer-Encoding") is None, each
            assert connection.buffer == b"", each
    assert way.status()["restarts"] == 0


def test_connection_close_of_an_application_ends_the_connection(way: Server) -> None:
    with way.connect() as connection:
        connection.send(ask(("Connection", "close")))
        response = connection.response()
        assert (response.status, response.body) == (200, b"piece")
        assert response.header("Connection") == "close"
        assert connection.is_closed_by_peer()


def packets_received(peer: socket.socket) -> int:
    """Of a TCP connection: tcpi_segs_in of linux/tcp.h."""
    (packets,) = struct.unpack_from(
        "=I", peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), 140
    )
    return int(packets)


def test_the_last_answer_of_a_connection_and_its_end_are_one_packet(way: Server) -> None:
    with way.connect() as connection:
        connection.send(ask(("Connection", "close")))
        assert connection.response().body == b"piece"
        assert connection.is_closed_by_peer()
        # One of the handshake, one that acknowledges the request, and the answer.
        assert packets_received(connection.socket) <= 3


def has_more_lines(server: Server, text: str, than: int) -> bool:
    """Whether more than so many lines of the log have this text."""
    return len(server.lines_with(text)) > than


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "stream"])
def test_a_wrong_length_ends_the_connection_and_is_logged(way: Server, whole: bool) -> None:
    cases: list[tuple[list[str], bytes, str]] = [
        (["123456789"], b"123456789", "fewer"),
        (["12345", "6789"], b"123456789", "fewer"),
        (["1234567890", "more"], b"1234567890", "more"),
        (["12345", "67890more"], b"1234567890", "more"),
    ]
    for parts, sent, fault in cases:
        line = f"the application gave {fault} bytes than its Content-Length; connection closed"
        before = len(way.lines_with(line))
        with way.connect() as connection:
            connection.send(ask(TEN, parts=parts, whole=whole) + request("GET", "/never"))
            response = connection.head()
            assert (response.status, response.header("Content-Length")) == (200, "10")
            assert connection.rest() == sent, parts
        wait_until(partial(has_more_lines, way, line, before), 5)


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "stream"])
def test_what_has_no_body_gets_none(way: Server, whole: bool) -> None:
    with way.connect() as connection:
        for status in ("204 No Content", "205 Reset", "304 Not Modified"):
            connection.send(ask(status=status, whole=whole))
            response = connection.head()
            assert response.status == int(status[:3])
            assert response.header("Transfer-Encoding") is None
            # 205 says that it has none, which 204 and 304 must not.
            assert response.header("Content-Length") == ("0" if response.status == 205 else None)
            connection.send(ask(TEN, method="HEAD", whole=whole))
            response = connection.head()
            assert (response.status, response.header("Content-Length")) == (200, "10")
        connection.send(ask())
        assert connection.response().body == b"piece"


def test_an_exception_in_mid_body_ends_the_connection_without_a_last_chunk(
    way: Server,
) -> None:
    with way.connect() as connection:
        connection.send(ask(fails=True))
        assert connection.head().header("Transfer-Encoding") == "chunked"
        assert connection.rest() == b"5\r\npiece\r\n"
    with way.connect() as connection:
        connection.send(ask(TEN, fails=True))
        assert connection.head().header("Content-Length") == "10"
        assert connection.rest() == b"piece"
    wait_until(lambda: "no more parts" in way.log(), 5)
    with way.connect() as connection:
        connection.send(ask(fails=True, parts=[]))
        assert connection.response().status == 500
