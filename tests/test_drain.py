"""What clients and probes see between SIGTERM and the end."""

import signal
import socket

import pytest

import wire
from condition import wait_until
from conftest import Starter
from serving import Server
from wire import Connection, request

# A test that looks at the drain alone does not wait for its end.
LONG = ("--workers", "2", "--req-queue-len", "1000", "--drain-delay", "60s")


def drain(server: Server) -> None:
    """SIGTERM, and time until every worker has heard of it."""
    server.terminate()

    def draining() -> bool:
        return {worker["state"] for worker in server.status()["workers"]} == {"draining"}

    wait_until(draining, 5, "every worker to drain")


def drains(server: Server) -> bool:
    """Whether it still accepts; a server that has ended does not."""
    try:
        return bool(server.status()["phase"] == "draining")
    except (OSError, wire.Closed):
        return False


def has_ended(connection: Connection) -> bool:
    """Whether the peer's end of the stream is here already."""
    try:
        return connection.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


ANSWERS = {
    "200": (request("GET", "/"), 200),
    "HEAD": (request("HEAD", "/"), 200),
    "a body": (request("POST", "/sink", body=b"12345"), 200),
    "a file": (request("GET", "/file?size=8"), 200),
    "chunks": (request("GET", "/generated?size=65536"), 200),
    "no body": (request("GET", "/empty"), 204),
    "404": (request("GET", "/not-there"), 404),
    "500": (request("GET", "/raise"), 500),
    "a refusal": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "HTTP/1.0": (request("GET", "/", "Connection: keep-alive", version="HTTP/1.0"), 200),
}


def test_every_answer_closes_its_connection_while_draining(start: Starter) -> None:
    server = start(*LONG)
    server.wait_for_ready()
    server.put("file-8", "the file")
    kept = {name: server.connect() for name in ANSWERS}
    for connection in kept.values():
        assert connection.get("/").header("Connection") is None
    running = server.connect()
    running.send(request("GET", "/hold/gate"))
    server.wait_for_lines("gate-entered", 1)
    drain(server)
    for name, (data, status) in ANSWERS.items():
        for connection in (kept[name], server.connect()):
            connection.send(data)
            response = connection.response(data.split()[0].decode())
            assert (name, response.status) == (name, status)
            assert (name, response.header("Connection")) == (name, "close")
            assert connection.is_closed_by_peer()
    server.put("gate-open")
    response = running.response()
    assert (response.body, response.header("Connection")) == (b"released", "close")


def test_an_idle_connection_lives_as_long_as_connections_are_accepted(start: Starter) -> None:
    server = start("--workers", "2", "--drain-delay", "1s")
    server.wait_for_ready()
    idle = [server.connect() for _ in range(8)]
    for connection in idle:
        connection.get("/")
    drain(server)
    # Whatever was seen before a probe that says so was seen while the server drained.
    while True:
        ended = [has_ended(connection) for connection in idle]
        if not drains(server):
            break
        assert not any(ended)
    assert all(connection.is_closed_by_peer() for connection in idle)
    assert server.wait() == 0


def test_a_head_that_has_begun_is_answered_after_accepting_has_ended(start: Starter) -> None:
    server = start("--workers", "1")
    begun = server.connect()
    idle = server.connect()
    idle.get("/")
    begun.send(b"GET / HTTP/1.1\r\nHo")
    wait_until(lambda: server.status()["totals"]["connections"] == 2, 5)
    server.terminate()
    # A second later than accepting ends.
    assert idle.is_closed_by_peer()
    begun.send(b"st: localhost\r\n\r\n")
    response = begun.response()
    assert (response.body, response.header("Connection")) == (b"hello", "close")
    assert server.wait() == 0


def test_probes_are_answered_until_the_last_worker_has_ended(start: Starter) -> None:
    server = start("--workers", "2")
    server.wait_for_ready()
    workers = set(server.workers())
    running = server.connect()
    running.send(request("GET", "/hold/gate"))
    server.wait_for_lines("gate-entered", 1)
    server.terminate()
    wait_until(lambda: server.probe("/ready").response.status == 400, 5, "unreadiness")
    server.put("gate-open")
    assert running.response().body == b"released"

    def probe_fails() -> bool:
        try:
            return server.probe("/alive").response.status != 200
        except (OSError, wire.Closed):
            return True

    wait_until(probe_fails, 5, "the probe port to close")
    assert workers.isdisjoint(server.family())
    assert server.wait() == 0


@pytest.mark.parametrize(
    ("signals", "code"),
    [
        ([signal.SIGTERM, signal.SIGTERM], 143),
        ([signal.SIGTERM, signal.SIGINT], 130),
        ([signal.SIGTERM, signal.SIGQUIT], 131),
        ([signal.SIGQUIT], 131),
    ],
    ids=["SIGTERM", "SIGINT", "SIGQUIT", "SIGQUIT alone"],
)
def test_a_drain_can_be_cut_short(start: Starter, signals: list[signal.Signals], code: int) -> None:
    server = start(*LONG)
    server.wait_for_ready()
    running = server.connect()
    running.send(request("GET", "/hold/gate"))
    server.wait_for_lines("gate-entered", 1)
    for number, each in enumerate(signals):
        server.process.send_signal(each)
        if number + 1 < len(signals):
            wait_until(lambda: server.status()["phase"] == "draining", 5)
    assert server.wait(5) == code
    wait_until(lambda: server.family() == [], 5, "every process to end")
    with pytest.raises(wire.Closed):
        running.response()


@pytest.mark.parametrize(("allowed", "warns"), [("41s", False), ("40s", True)])
def test_a_stop_that_does_not_fit_is_told_at_the_start(
    start_once: Starter, allowed: str, *, warns: bool
) -> None:
    server = start_once(
        *("--drain-delay", "0.5s", "--grace-period", "38s"),
        env={"HURRICANE_TERMINATION_GRACE_PERIOD": allowed},
    )
    assert bool(server.lines_with("terminationGracePeriodSeconds")) == warns
