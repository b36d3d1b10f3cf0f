"""No accepted request is lost when the server is told to stop."""

import os
import signal
import time

import pytest

import wire
from condition import wait_until
from conftest import Starter
from serving import Server, stop
from wire import Connection, request

MANY = ("--workers", "2", "--req-queue-len", "1000")


def is_refused(server: Server) -> bool:
    try:
        server.connect(timeout=1.0).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def hold(server: Server, count: int) -> list[Connection]:
    """So many requests in flight."""
    held = [server.connect() for _ in range(count)]
    for connection in held:
        connection.send(request("GET", "/hold/gate"))
    return held


def test_an_idle_server_stops_at_once_and_frees_its_ports(start: Starter) -> None:
    server = start(*MANY)
    begin = time.monotonic()
    server.terminate()
    assert server.wait() == 0
    assert time.monotonic() - begin < 2
    assert server.family() == []
    assert is_refused(server)


def test_requests_in_flight_and_in_the_accept_queue_are_answered(start: Starter) -> None:
    server = start(*MANY)
    held = hold(server, 16)
    wait_until(lambda: server.status()["totals"]["running"] >= 2, 10)
    in_flight = server.status()["totals"]
    wait_until(
        lambda: (totals := server.status()["totals"])["queued"] + totals["running"] == 16,
        10,
        f"16 requests in flight, not {in_flight}",
    )
    workers = server.workers()
    for worker in workers:
        stop(worker)
    # These stay in the accept queues until the workers go on, which is after the signal.
    queued = [server.connect() for _ in range(12)]
    for connection in queued:
        connection.send(request("GET", "/"))
    server.terminate()
    for worker in workers:
        os.kill(worker, signal.SIGCONT)
    server.wait_for_stopping()
    server.put("gate-open")
    assert [connection.response().body for connection in queued] == [b"hello"] * 12
    responses = [connection.response() for connection in held]
    assert [response.body for response in responses] == [b"released"] * 16
    assert {response.header("Connection") for response in responses} == {"close"}
    assert server.wait() == 0


def test_a_stream_that_has_begun_ends_whole(start: Starter) -> None:
    server = start(*MANY)
    with server.connect() as connection:
        connection.send(request("GET", "/stream"))
        connection.head()
        assert connection.chunk() == b"first"
        server.terminate()
        wait_until(lambda: is_refused(server), 10, "accepting to end")
        server.put("first-was-seen")
        assert [connection.chunk(), connection.chunk()] == [b"second", b""]
    assert server.wait() == 0


def test_a_body_that_has_begun_is_received_and_answered(start: Starter) -> None:
    server = start(*MANY)
    with server.connect() as connection:
        connection.send(request("POST", "/sink", "Content-Length: 10") + b"12345")
        wait_until(lambda: server.status()["totals"]["connections"] >= 1, 5)
        server.terminate()
        wait_until(lambda: is_refused(server), 10, "accepting to end")
        connection.send(b"67890")
        response = connection.response()
        assert response.json()["size"] == 10
        assert response.header("Connection") == "close"
    assert server.wait() == 0


def test_during_the_drain_delay_connections_are_accepted_and_closed(start: Starter) -> None:
    server = start(*MANY, "--drain-delay", "1.5s")
    server.wait_for_ready()
    kept = server.connect()
    kept.get("/")
    begin = time.monotonic()
    server.terminate()
    wait_until(lambda: server.status()["phase"] == "draining", 5)
    response = kept.get("/")
    assert response.header("Connection") == "close"
    served = 0
    while time.monotonic() - begin < 1.0:
        with server.connect() as connection:
            response = connection.get("/")
            assert (response.body, response.header("Connection")) == (b"hello", "close")
            served += 1
        assert server.probe("/ready").response.status == 200
        assert server.probe("/alive").response.status == 200
    assert served > 0
    assert server.wait() == 0
    assert time.monotonic() - begin >= 1.5


def test_readiness_fails_once_accepting_has_ended(start: Starter) -> None:
    server = start(*MANY)
    server.wait_for_ready()
    held = hold(server, 2)
    server.wait_for_lines("gate-entered", 2)
    server.terminate()
    wait_until(lambda: server.probe("/ready").response.status == 400, 5, "unreadiness")
    assert "stopping" in server.probe("/ready").response.text
    assert server.probe("/alive").response.status == 200
    server.put("gate-open")
    assert [connection.response().body for connection in held] == [b"released"] * 2
    assert server.wait() == 0


def test_readiness_may_fail_from_the_signal_on(start: Starter) -> None:
    server = start(*MANY, "--drain-delay", "2s", "--drain-readiness", "failing")
    server.wait_for_ready()
    server.terminate()
    wait_until(lambda: server.probe("/ready").response.status == 400, 1.5, "unreadiness")
    assert server.get("/").body == b"hello"
    assert server.wait() == 0


def test_an_idle_connection_is_answered_once_more(start: Starter) -> None:
    server = start(*MANY)
    idle = [server.connect() for _ in range(8)]
    for connection in idle:
        connection.get("/")
    server.terminate()
    for connection in idle:
        connection.send(request("GET", "/"))
    answered = [connection.response() for connection in idle]
    assert [response.body for response in answered] == [b"hello"] * 8
    assert server.wait() == 0


@pytest.mark.parametrize(
    ("second", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"]
)
def test_a_second_signal_ends_the_server_at_once(
    start: Starter, second: signal.Signals, code: int
) -> None:
    server = start(*MANY)
    hold(server, 1)
    server.wait_for_lines("gate-entered", 1)
    server.terminate()
    wait_until(lambda: is_refused(server), 10, "accepting to end")
    begin = time.monotonic()
    server.process.send_signal(second)
    assert server.wait() == code
    assert time.monotonic() - begin < 2
    wait_until(lambda: server.family() == [], 5, "every process to end")


def test_sigint_stops_like_sigterm(start: Starter) -> None:
    server = start(*MANY)
    held = hold(server, 1)
    server.wait_for_lines("gate-entered", 1)
    server.process.send_signal(signal.SIGINT)
    wait_until(lambda: is_refused(server), 10, "accepting to end")
    server.put("gate-open")
    assert held[0].response().body == b"released"
    assert server.wait() == 0


def test_ctrl_c_reaches_every_process_and_still_ends_cleanly(start: Starter) -> None:
    server = start(*MANY)
    held = hold(server, 2)
    server.wait_for_lines("gate-entered", 2)
    # A terminal sends it to the whole foreground group, as do process managers on stop.
    os.killpg(server.process.pid, signal.SIGINT)
    wait_until(lambda: is_refused(server), 10, "accepting to end")
    server.put("gate-open")
    assert [connection.response().body for connection in held] == [b"released"] * 2
    assert server.wait() == 0
    assert "KeyboardInterrupt" not in server.log()
    assert server.family() == []


def test_sigterm_to_the_whole_group_stops_like_sigterm_to_the_server(start: Starter) -> None:
    server = start(*MANY)
    held = hold(server, 2)
    server.wait_for_lines("gate-entered", 2)
    os.killpg(server.process.pid, signal.SIGTERM)
    wait_until(lambda: is_refused(server), 10, "accepting to end")
    server.put("gate-open")
    assert [connection.response().body for connection in held] == [b"released"] * 2
    assert server.wait() == 0


def test_the_grace_period_bounds_what_still_runs(start: Starter) -> None:
    server = start(*MANY, "--grace-period", "1s")
    hold(server, 1)
    server.wait_for_lines("gate-entered", 1)
    begin = time.monotonic()
    server.terminate()
    assert server.wait() == 4
    assert 0.9 < time.monotonic() - begin < 4
    assert server.family() == []


def test_load_through_a_stop_loses_nothing_that_was_accepted(start: Starter) -> None:
    server = start(*MANY, "--drain-delay", "0.5s")
    outcomes: list[str] = []
    server.get("/")
    told = False
    begin = time.monotonic()
    while time.monotonic() - begin < 10:
        try:
            outcomes.append(server.get("/").text)
        except ConnectionRefusedError:
            break
        except (OSError, wire.Closed) as error:
            outcomes.append(repr(error))
        if len(outcomes) > 50 and not told:
            server.terminate()
            told = True
    assert set(outcomes) == {"hello"}
    assert server.wait() == 0
