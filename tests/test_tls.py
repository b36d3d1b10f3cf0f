"""TLS on the application's port: the same server behind it, and certificates that change."""

import hashlib
import os
import shutil
import signal
import socket
import ssl
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from condition import wait_until
from conftest import Starter
from receiver import AUTHORITY, TLS
from serving import APPS, Server, run
from test_proxies import V1
from wire import Closed, Connection, request

FIRST = TLS / "receiver.pem"
SECOND = TLS / "other.pem"


def client(*, trusted: Path = AUTHORITY, protocols: tuple[str, ...] = ()) -> ssl.SSLContext:
    """What a client believes."""
    context = ssl.create_default_context(cafile=str(trusted))
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def connect(
    server: Server, before: bytes = b"", context: ssl.SSLContext | None = None
) -> Connection:
    """A connection over TLS; ``before``: what is sent before the handshake."""
    connection = server.connect()
    connection.send(before)
    context = context or client()
    connection.socket = context.wrap_socket(connection.socket, server_hostname="localhost")
    return connection


@pytest.fixture(scope="module")
def secure(engine: str) -> Generator[Server]:
    """A project that is served over TLS."""
    starter = Starter(engine)
    files = ("--tls-cert", str(FIRST), "--tls-key", str(FIRST))
    try:
        yield starter(*files, "--head-timeout", "1s", "--access-log", "native")
    finally:
        starter.end()


def test_requests_are_served_and_are_https(secure: Server) -> None:
    with connect(secure) as connection:
        assert [connection.get("/").body for _ in range(3)] == [b"hello"] * 3
        meta = connection.get("/echo").json()["meta"]
        assert isinstance(connection.socket, ssl.SSLSocket)
        assert connection.socket.version() == "TLSv1.3"
    assert (meta["SERVER_PORT"], meta["REMOTE_ADDR"]) == ("443", "127.0.0.1")
    assert int(meta["REMOTE_PORT"]) > 0
    wait_until(lambda: secure.lines_with("200 GET /echo (127.0.0.1)"), 10, "its line")


def test_pipelined_requests_and_a_close_are_as_without(secure: Server) -> None:
    with connect(secure) as connection:
        connection.send(request("GET", "/") * 50 + request("GET", "/", "Connection: close"))
        assert [connection.response().body for _ in range(51)] == [b"hello"] * 51
        # With a farewell: Python's client would complain of a stream that was cut.
        assert connection.is_closed_by_peer()


def test_long_bodies_go_both_ways(secure: Server) -> None:
    body = bytes(range(256)) * (20 << 10)
    with connect(secure) as connection:
        connection.send(request("POST", "/echo", body=body))
        found = connection.response().json()
        assert (found["length"], found["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
        assert connection.get("/").body == b"hello"


def test_older_protocols_are_served_down_to_1_2(secure: Server) -> None:
    context = client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with connect(secure, context=context) as connection:
        assert connection.get("/").body == b"hello"


def test_http_1_1_is_the_only_protocol(secure: Server) -> None:
    with connect(secure, context=client(protocols=("h2", "http/1.1"))) as connection:
        assert isinstance(connection.socket, ssl.SSLSocket)
        assert connection.socket.selected_alpn_protocol() == "http/1.1"
    with pytest.raises(ssl.SSLError, match=r"(?i)application[ _]protocol"):
        connect(secure, context=client(protocols=("h2",)))


@pytest.mark.parametrize(
    "sent",
    [b"", request("GET", "/"), b"\x16\x03\x01", b"\x16\x03\x01\x40\x00" + b"\x01" * 70_000],
    ids=["silent", "http", "begun", "junk"],
)
def test_what_is_no_handshake_ends_in_time(secure: Server, sent: bytes) -> None:
    with secure.connect() as connection:
        try:
            connection.send(sent)
            assert not connection.rest().startswith(b"HTTP")
        except OSError:
            pass
    with connect(secure) as connection:
        assert connection.get("/").body == b"hello"


def test_what_comes_behind_the_handshake_is_judged_as_without(secure: Server) -> None:
    with connect(secure) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost")
        assert connection.response().status == 408
        assert connection.is_closed_by_peer()
    with connect(secure) as connection:
        connection.send(b"GET / HTTP/1.1\nHost: a\n\n")
        assert connection.response().status == 400


def test_clients_that_vanish_leave_nothing(secure: Server) -> None:
    wait_until(lambda: secure.status()["totals"]["connections"] == 0, 10, "silence")
    for _ in range(20):
        connection = connect(secure)
        connection.send(request("POST", "/echo", "Content-Length: 10") + b"12345")
        raw = socket.socket(fileno=connection.socket.detach())
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        raw.close()
    wait_until(lambda: secure.status()["totals"]["connections"] == 0, 10, "their end")


def test_a_file_is_sent_and_a_stop_loses_nothing(start: Starter, tmp_path: Path) -> None:
    content = bytes(range(256)) * (16 << 10)
    (tmp_path / "long.bin").write_bytes(content)
    files = ("--tls-cert", str(FIRST), "--tls-key", str(FIRST))
    server = start(*files, "--static-path", f"/static={tmp_path}")
    with connect(server) as connection:
        assert connection.get("/static/long.bin").body == content
    held = connect(server)
    held.send(request("GET", "/hold/gate"))
    server.wait_for_lines("gate-entered", 1)
    idle = connect(server)
    server.terminate()
    wait_until(lambda: server.lines_with("no longer accepting"), 10, "the stop")
    server.put("gate-open")
    response = held.response()
    assert (response.body, response.header("Connection")) == (b"released", "close")
    assert held.is_closed_by_peer()
    assert idle.is_closed_by_peer()
    assert server.wait() == 0


def test_a_changed_certificate_is_served_and_connections_stay(
    start: Starter, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    shutil.copy(FIRST, certificate)
    shutil.copy(FIRST, key)
    server = start("--tls-cert", str(certificate), "--tls-key", str(key))
    with connect(server) as kept:
        assert kept.get("/").body == b"hello"
        # Not yet its key: that of before goes on.
        shutil.copy(SECOND, certificate)
        wait_until(lambda: server.lines_with("serving with that of before"), 10, "a warning")
        with connect(server) as connection:
            assert connection.get("/").body == b"hello"
        shutil.copy(SECOND, key)
        wait_until(lambda: server.lines_with("serving with a new certificate"), 10, "the other")
        with connect(server, context=client(trusted=SECOND)) as connection:
            assert connection.get("/").body == b"hello"
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(server)
        assert kept.get("/").body == b"hello"
    # A worker that comes later has it from its start on.
    (before,) = server.workers()
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: server.workers() not in ([before], [0]), 10, "another worker")
    with connect(server, context=client(trusted=SECOND)) as connection:
        assert connection.get("/").body == b"hello"


def test_a_proxy_header_comes_before_the_handshake(start: Starter) -> None:
    files = ("--tls-cert", str(FIRST), "--tls-key", str(FIRST), "--proxy-protocol")
    server = start(*files, application="wsgi_apps:environ_as_json")
    with connect(server, V1) as connection:
        found = connection.get("/").json()
    assert (found["REMOTE_ADDR"], found["REMOTE_PORT"]) == ("192.0.2.1", "4660")
    assert found["wsgi.url_scheme"] == "https"
    with pytest.raises((OSError, Closed)):
        connect(server)


def test_a_pair_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("nothing\n")
    missing = tmp_path / "missing.pem"
    for certificate, key, cause in (
        (FIRST, SECOND, "the key must be that of the first certificate"),
        (junk, FIRST, f"--tls-cert {junk} holds no certificate in PEM"),
        (FIRST, junk, f"--tls-key {junk} holds no private key in PEM"),
        (missing, FIRST, f"--tls-cert {missing} cannot be read"),
        (FIRST, None, "TLS needs a certificate and its key; give a --tls-key too"),
    ):
        words = [sys.executable, "-m", "hurricane", "serve", "wsgi_apps:hello"]
        words += ["--tls-cert", str(certificate)]
        words += ["--tls-key", str(key)] if key else []
        ended = run(words, cwd=APPS)
        assert ended.returncode == 2, ended.stderr
        assert cause in ended.stderr
