"""The application on a Unix domain socket instead of TCP."""

import os
import signal
import socket
import stat
from pathlib import Path

import pytest

import wire
from condition import wait_until
from conftest import Starter
from serving import Server
from test_start import sentence
from wire import Connection, request

MANY = ("--workers", "2", "--req-queue-len", "1000")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the socket is to be."""
    return tmp_path / "web.sock"


def connect(server: Server, path: Path) -> Connection:
    """A connection that ends with the server."""
    connection = Connection(path)
    server.connections.append(connection)
    return connection


def connections(server: Server) -> list[int]:
    """Of each worker."""
    return [worker["connections"] for worker in server.status()["workers"]]


def test_requests_are_served_and_the_file_comes_and_goes(start: Starter, path: Path) -> None:
    server = start("--uds", str(path))
    found = path.stat().st_mode
    assert (stat.S_ISSOCK(found), stat.S_IMODE(found)) == (True, 0o660)
    meta = wire.get(path, "/echo").json()["meta"]
    assert (meta["REMOTE_ADDR"], meta["SERVER_NAME"]) == ("", "localhost")
    assert "REMOTE_PORT" not in meta
    with Connection(path) as connection:
        assert [connection.get("/").body for _ in range(3)] == [b"hello"] * 3
    assert server.status()["server"]["app"] == f"unix:{path}"
    server.terminate()
    assert server.wait() == 0
    assert not path.exists()


def test_a_request_without_a_host_has_a_server_name(start_once: Starter, path: Path) -> None:
    start_once("--uds", str(path))
    with Connection(path) as connection:
        connection.send(b"GET /echo HTTP/1.0\r\n\r\n")
        meta = connection.response().json()["meta"]
        assert (meta["SERVER_NAME"], meta["SERVER_PORT"]) == ("localhost", "80")


def test_files_streams_and_uploads_pass(start: Starter, path: Path) -> None:
    server = start("--uds", str(path))
    server.signals.joinpath("file-1").write_bytes(b"f" * 1_000_000)
    with Connection(path) as connection:
        body = b"x" * 3_000_000
        connection.send(request("POST", "/sink", body=body))
        assert connection.response().json()["size"] == len(body)
        assert len(connection.get("/file?size=1").body) == 1_000_000


@pytest.mark.alone
def test_workers_share_the_connections(start: Starter, path: Path) -> None:
    server = start("--uds", str(path), *MANY)
    for _ in range(32):
        assert connect(server, path).get("/").body == b"hello"
    counts = connections(server)
    assert sum(counts) == 32
    assert min(counts) >= 8


def test_requests_in_flight_and_in_the_queue_are_answered_at_a_stop(
    start: Starter, path: Path
) -> None:
    server = start("--uds", str(path), *MANY)
    held = [connect(server, path) for _ in range(4)]
    for connection in held:
        connection.send(request("GET", "/hold/gate"))
    server.wait_for_lines("gate-entered", 4)
    server.terminate()
    wait_until(lambda: not path.exists(), 5, "the file to be removed")
    server.wait_for_stopping()
    server.put("gate-open")
    for connection in held:
        response = connection.response()
        assert (response.body, response.header("Connection")) == (b"released", "close")
    assert server.wait() == 0


def test_a_dead_workers_connections_go_to_the_others(start: Starter, path: Path) -> None:
    server = start("--uds", str(path), *MANY)
    os.kill(server.workers()[0], 9)
    for _ in range(20):
        assert wire.get(path).body == b"hello"


def test_a_reload_keeps_the_socket(start_once: Starter, path: Path) -> None:
    server = start_once("--uds", str(path), *MANY)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: server.status()["reloads"] == 1, 20, "the reload")
    assert wire.get(path).body == b"hello"
    server.terminate()
    assert server.wait() == 0
    assert not path.exists()


def test_a_stale_file_is_replaced_and_a_live_one_refused(start_once: Starter, path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    start_once("--uds", str(path))
    assert wire.get(path).body == b"hello"
    taken = sentence("--uds", str(path), "--no-probe", code=1)
    assert f"--uds {path} is taken" in taken
    assert wire.get(path).body == b"hello"


def test_what_is_in_the_way_is_named(tmp_path: Path) -> None:
    other = tmp_path / "file"
    other.touch()
    for uds, cause in (
        (other, "is no socket"),
        (tmp_path / "no" / "web.sock", "its directory does not exist"),
        (tmp_path / ("x" * 120), "too long"),
    ):
        assert cause in sentence("--uds", str(uds), "--no-probe", code=1)


def test_modes_are_octal(start_once: Starter, path: Path) -> None:
    start_once("--uds", str(path), "--uds-mode", "600")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    # What the number 0o660 of a Django setting looks like.
    assert "octal" in sentence("--uds-mode", "432", code=2)
