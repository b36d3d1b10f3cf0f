"""Every queue and wait has a limit, and says so when it is reached."""

import contextlib
import socket
import time

import pytest

import wire
from condition import wait_until
from conftest import Starter
from serving import Server
from wire import Closed, request

REFUSED = "hurricane_http_refused_requests_total"


def refusals(server: Server, rule: str) -> int:
    """How often the server has refused, shed or cut something for this rule."""
    page = wire.get(server.probe_port, "/metrics/server").text
    (count,) = (
        line.split()[1] for line in page.splitlines() if f'{REFUSED}{{rule="{rule}"}}' in line
    )
    return int(count)


def with_descriptors(count: int) -> list[str]:
    """Runs a command that may open so many files."""
    return ["sh", "-c", f'ulimit -n {count} && exec "$@"', "sh"]


def test_a_full_queue_is_answered_503_at_once(start: Starter) -> None:
    server = start("--threads", "1", "--queue-size", "1", "--req-queue-len", "100")
    held = server.connect()
    held.send(request("GET", "/hold/gate"))
    server.wait_for_lines("gate-entered", 1)
    queued = server.connect()
    queued.send(request("GET", "/"))
    wait_until(lambda: server.status()["totals"]["queued"] == 1, 5)
    begin = time.monotonic()
    with server.connect() as refused:
        response = refused.get("/")
        assert response.status == 503
        assert response.header("Retry-After") is not None
    assert time.monotonic() - begin < 1
    assert server.status()["totals"]["shed"] == refusals(server, "queue_full") == 1
    server.put("gate-open")
    assert (held.response().body, queued.response().body) == (b"released", b"hello")


def test_a_request_whose_client_has_left_before_its_turn_is_not_run(start: Starter) -> None:
    server = start("--threads", "1", "--req-queue-len", "100")
    held = server.connect()
    held.send(request("GET", "/hold/gate"))
    server.wait_for_lines("gate-entered", 1)
    left = server.connect()
    left.send(request("GET", "/hold/left"))
    wait_until(lambda: server.status()["totals"]["queued"] == 1, 5)
    left.reset()
    with server.connect() as later:
        # Answered by the loop itself, after it has seen the reset.
        later.send(b"not HTTP\r\n\r\n")
        assert later.response().status == 400
    server.put("gate-open")
    assert held.response().body == b"released"
    assert server.get("/").body == b"hello"
    assert server.lines("left-entered") == []


def test_connections_over_the_limit_are_answered_503(start: Starter) -> None:
    server = start("--max-connections", "4")
    kept = [server.connect() for _ in range(4)]
    assert [connection.get("/").status for connection in kept] == [200] * 4
    with server.connect() as refused:
        assert refused.head().status == 503
    kept[0].close()

    def admitted() -> bool:
        with server.connect() as connection:
            try:
                return connection.get("/").status == 200
            except (Closed, OSError):
                return False

    wait_until(admitted, 5)


def test_all_workers_together_have_a_limit_of_connections(start: Starter) -> None:
    server = start("--workers", "2", "--max-total-connections", "3", "--req-queue-len", "100")
    kept = [server.connect() for _ in range(3)]
    assert [connection.get("/").status for connection in kept] == [200] * 3
    for _ in range(4):
        with server.connect() as too_many:
            assert too_many.head().status == 503
    assert refusals(server, "too_many_connections") == 4


def test_connections_follow_from_the_limit_of_open_files(start: Starter) -> None:
    server = start(prefix=with_descriptors(256 + 3 * 20))
    kept = [server.connect() for _ in range(20)]
    assert [connection.get("/").status for connection in kept] == [200] * 20
    with server.connect() as too_many:
        assert too_many.head().status == 503


def test_a_worker_without_a_descriptor_serves_those_that_it_has(start: Starter) -> None:
    server = start("--max-connections", "1000", prefix=with_descriptors(100))
    assert server.lines_with("--max-connections 1000 may need more open files than there can be")
    connections = [server.connect() for _ in range(120)]
    for connection in connections:
        connection.send(request("GET", "/"))
    wait_until(lambda: server.lines_with("accepting pauses"), 10)
    assert connections[0].response().body == b"hello"
    assert connections[0].get("/").body == b"hello"
    # The others wait in the accept queue, and have their turn when others leave.
    for connection in connections[1:]:
        assert connection.response().body == b"hello"
        connection.close()
    assert server.status()["restarts"] == 0


def test_an_idle_connection_is_closed_after_the_keep_alive_timeout(start: Starter) -> None:
    server = start("--keep-alive-timeout", "0.5s")
    with server.connect() as connection:
        connection.get("/")
        begin = time.monotonic()
        assert connection.is_closed_by_peer()
        assert 0.4 < time.monotonic() - begin < 3


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345",
        b"POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123",
    ],
    ids=["head", "body", "chunk"],
)
def test_a_request_that_stays_incomplete_is_answered_408(start: Starter, sent: bytes) -> None:
    server = start("--head-timeout", "0.5s", "--body-timeout", "0.5s")
    with server.connect() as connection:
        begin = time.monotonic()
        connection.send(sent)
        assert connection.response().status == 408
        assert connection.is_closed_by_peer()
        assert 0.4 < time.monotonic() - begin < 3


def test_a_body_that_is_slower_than_the_least_rate_is_answered_408(start: Starter) -> None:
    server = start("--body-timeout", "1s", "--min-body-rate", "100k")
    with server.connect() as connection:
        connection.send(request("POST", "/sink", "Content-Length: 1000000"))

        def refused() -> bool:
            # The server may have read enough and closed.
            with contextlib.suppress(ConnectionError):
                connection.send(b"x" * 10)
            return refusals(server, "slow_body") == 1

        # It is never silent for as long as it may be.
        wait_until(refused, 10, "a refusal")
    assert server.lines_with("408 POST /sink")


@pytest.mark.parametrize("path", ["/file?size=67108864", "/endless"], ids=["loop", "thread"])
def test_a_reader_that_is_slower_than_the_least_rate_is_cut(start: Starter, path: str) -> None:
    server = start("--write-timeout", "1s", "--min-write-rate", "100m")
    with (server.signals / "file-67108864").open("wb") as file:
        file.truncate(64 << 20)
    with server.connect() as connection:
        connection.send(request("GET", path))
        connection.head()

        def cut() -> int:
            # It takes some all the time.
            connection.drop(16 * 1024)
            return refusals(server, "slow_reader")

        assert wait_until(cut, 10, "the end of an answer") == 1
    assert server.get("/").body == b"hello"


def test_memory_for_requests_has_a_limit(start: Starter) -> None:
    server = start("--max-buffered-bytes", "64k")
    long_head = request("GET", "/", f"X-Long: {'x' * 24_000}")
    with server.connect() as holding:
        holding.send(request("POST", "/sink", "Content-Length: 40000") + b"x" * 30_000)

        def long_head_is_refused() -> bool:
            with server.connect() as connection:
                connection.send(long_head)
                response = connection.response()
                assert response.status in (200, 503)
                return response.status == 503 and response.header("Retry-After") == "1"

        wait_until(long_head_is_refused, 10)
        # Bodies go to files instead, and whoever needs no more than others is served.
        for size in (10, 1000, 300_000):
            assert server.post("/sink", b"x" * size).json()["size"] == size
        assert server.get("/").body == b"hello"
        holding.send(b"x" * 10_000)
        assert holding.response().json()["size"] == 40_000
    with server.connect() as connection:
        connection.send(long_head)
        assert connection.response().body == b"hello"
    assert refusals(server, "memory_full") >= 1


def test_each_rule_that_was_broken_is_counted_and_logged(start_once: Starter) -> None:
    server = start_once("--workers", "2", "--log-level", "debug")
    broken = {
        "bare_line_feed": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
        "missing_host": b"GET / HTTP/1.1\r\n\r\n",
        "ambiguous_length": request("POST", "/", "Content-Length: 1", "Transfer-Encoding: chunked"),
    }
    for count, (rule, sent) in enumerate(broken.items(), 1):
        for _ in range(count):
            with server.connect() as connection:
                connection.send(sent)
                assert connection.response().status == 400
        assert refusals(server, rule) == count
        assert len(server.lines_with(rule)) == count
    assert server.status()["totals"]["refused"] == 6


def test_stalled_bodies_take_no_thread(start: Starter) -> None:
    server = start("--threads", "2")
    stalled = [server.connect() for _ in range(16)]
    for connection in stalled:
        connection.send(request("POST", "/sink", "Content-Length: 10") + b"12345")
    wait_until(lambda: server.status()["totals"]["connections"] == 16, 5)
    assert server.get("/").body == b"hello"
    for connection in stalled:
        connection.send(b"67890")
    assert [connection.response().json()["size"] for connection in stalled] == [10] * 16


def test_a_client_that_takes_no_byte_is_given_up(start: Starter) -> None:
    server = start("--write-timeout", "0.5s")
    with server.connect() as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.send(request("GET", "/endless"))
        connection.head()
        server.wait_for_lines("endless-closed", 1)
    assert server.get("/").body == b"hello"


@pytest.mark.parametrize("framing", ["Content-Length: 2000", "Transfer-Encoding: chunked"])
def test_a_body_over_the_limit_is_413(start: Starter, framing: str) -> None:
    server = start("--max-body-size", "1000")
    with server.connect() as connection:
        body = b"7d0\r\n" + b"x" * 2000 if "chunked" in framing else b"x" * 2000
        connection.send(request("POST", "/sink", framing) + body)
        response = connection.response()
        assert response.status == 413
        assert response.header("Connection") == "close"
    assert server.post("/sink", b"x" * 1000).json()["size"] == 1000


def test_the_answer_to_the_last_request_of_a_connection_ends_it(start: Starter) -> None:
    server = start("--max-requests-per-connection", "3")
    with server.connect() as connection:
        for ends in (None, None, "close"):
            response = connection.get("/")
            assert (response.body, response.header("Connection")) == (b"hello", ends)
        assert connection.is_closed_by_peer()


def test_a_connection_that_grows_old_while_its_request_runs_ends_with_the_answer(
    start: Starter,
) -> None:
    server = start("--max-connection-age", "1s")
    with server.connect() as old, server.connect() as idle:
        assert idle.get("/").header("Connection") is None
        old.send(request("GET", "/hold/gate"))
        server.wait_for_lines("gate-entered", 1)
        begin = time.monotonic()
        with server.connect() as younger:
            while younger.get("/").header("Connection") is None:
                pass
            assert younger.is_closed_by_peer()
        # Less up to a tenth at random.
        assert time.monotonic() - begin >= 0.89
        # Whatever was open before is now older, however little was taken off the younger's.
        with server.connect() as second:
            while second.get("/").header("Connection") is None:
                pass
        server.put("gate-open")
        for response in (old.response(), idle.get("/")):
            assert (response.status, response.header("Connection")) == (200, "close")
        assert old.is_closed_by_peer()
        assert idle.is_closed_by_peer()
