"""Faults under load: crowds that are slow, gone or hostile cost nobody an answer and leave nothing.

``HURRICANE_CROWD`` says how many of each kind there are.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Generator
from functools import partial

import pytest

from condition import wait_until
from conftest import Starter
from crowd import FILE_BYTES, Crowd, Footprint, all_descriptors, wait_for_calm
from serving import Server
from traffic import Traffic
from wire import Closed, request

CROWD = int(os.environ.get("HURRICANE_CROWD", "150"))
NORMAL = 64
PATIENCE = "2s"
TIMEOUTS = ("--head-timeout", "--body-timeout", "--write-timeout")


@pytest.fixture(scope="module", autouse=True)
def descriptors() -> Generator[None]:
    """As many for us as there may be."""
    with all_descriptors():
        yield


@pytest.fixture(scope="module")
def crowded(engine: str) -> Generator[Server]:
    """A server that soon gives up who is slow."""
    starter = Starter(engine)
    patience = [word for flag in TIMEOUTS for word in (flag, PATIENCE)]
    try:
        server = starter(
            *("--workers", "2", "--threads", "4", "--queue-size", "20000"),
            *("--req-queue-len", "1000000", "--access-log", "native", *patience),
        )
        with (server.signals / f"file-{FILE_BYTES}").open("wb") as file:
            file.truncate(FILE_BYTES)
        yield server
    finally:
        starter.end()


def has_answered(traffic: Traffic, count: int) -> bool:
    """Whether more than so many requests were answered."""
    return traffic.answered > count


def test_a_crowd_of_slow_and_deaf_clients_costs_nobody_an_answer(crowded: Server) -> None:
    before = None
    # What the first one makes grow may stay; the second finds it there.
    for count in (CROWD, CROWD):
        traffic = Traffic(
            lambda: crowded.port, new_per_second=20, kept_clients=NORMAL, kept_per_second=2
        )
        with traffic.flowing():
            crowd = Crowd(crowded, count, NORMAL + 20)
            wait_until(partial(has_answered, traffic, 2 * NORMAL), 30)
            # It does not leave by itself.
            wait_until(crowd.has_gone, 60)
        assert not traffic.lost, traffic.lost
        crowd.leave()
        before = wait_for_calm(crowded, before)


def test_a_request_may_break_off_at_every_byte(crowded: Server) -> None:
    body = request("POST", "/sink", "Connection: close", body=b"12345")
    chunks = request("POST", "/sink", "Connection: close", "Transfer-Encoding: chunked")
    chunks += b"5\r\n12345\r\n0\r\n\r\n"
    before = wait_for_calm(crowded)
    for whole in (body, chunks):
        for end in range(len(whole) + 1):
            with crowded.connect() as connection:
                connection.send(whole[:end])
                connection.reset()
            with crowded.connect() as connection:
                connection.send(whole[:end])
                connection.socket.shutdown(socket.SHUT_WR)
                if end == len(whole):
                    assert connection.response().json()["size"] == 5
                assert connection.is_closed_by_peer(), whole[:end]
    wait_for_calm(crowded, before)


@pytest.mark.parametrize(
    "bomb",
    [
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        request("GET", "/", "X-Long: " + "a" * 1_000_000),
        request("GET", "/", *["X-Many: a"] * 100_000),
        request("POST", "/sink", "Transfer-Encoding: chunked") + b"1;" + b"a" * 1_000_000,
        request("POST", "/sink", "Transfer-Encoding: chunked") + b"0\r\n" + b"a: b\r\n" * 100_000,
    ],
    ids=["target", "value", "fields", "extension", "trailers"],
)
def test_bombs_are_refused_before_they_are_whole(crowded: Server, bomb: bytes) -> None:
    before = wait_for_calm(crowded)
    for _ in range(10):
        with crowded.connect() as connection:
            # The end may come before all of it was sent.
            with contextlib.suppress(ConnectionError):
                connection.send(bomb)
            with contextlib.suppress(Closed):
                assert connection.response().status in (400, 414, 431)
    assert crowded.get("/").body == b"hello"
    wait_for_calm(crowded, before)


def test_ten_thousand_pipelined_requests_are_answered_in_order(crowded: Server) -> None:
    count = 10_000
    before = wait_for_calm(crowded)
    with crowded.connect(timeout=60) as connection:
        asked = b"".join(request("GET", f"/named/{number}") for number in range(count))
        sending = threading.Thread(target=connection.send, args=(asked,))
        sending.start()
        for number in range(count):
            assert connection.response().body == b"%d" % number
        sending.join()
    wait_for_calm(crowded, before)


@pytest.mark.parametrize("framing", ["Content-Length: 1073741824", "Transfer-Encoding: chunked"])
def test_a_gibibyte_that_is_too_much_is_refused_at_the_limit(crowded: Server, framing: str) -> None:
    before = wait_for_calm(crowded)
    with crowded.connect() as connection:
        connection.send(request("POST", "/sink", framing))
        chunk = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
        sent = 0
        if "chunked" in framing:
            with contextlib.suppress(ConnectionError):
                while sent < 1024:
                    connection.send(chunk)
                    sent += 1
        with contextlib.suppress(Closed):
            assert connection.response().status == 413
        # 100 MiB are allowed, and the kernels hold some.
        assert sent < 200
    wait_for_calm(crowded, before)


def test_a_flood_of_connections_past_the_limit_is_refused(start: Starter) -> None:
    server = start("--max-connections", "20", "--req-queue-len", "1000")
    kept = [server.connect() for _ in range(20)]
    assert [connection.get("/").status for connection in kept] == [200] * 20
    before = Footprint.of(server)
    flood = 10 * CROWD
    for number in range(flood):
        # The answer goes out before anything was read; a reset may overtake it.
        with server.connect() as connection, contextlib.suppress(Closed):
            assert connection.head().status == 503
        if number % 100 == 0:
            assert kept[0].get("/").body == b"hello"
    assert server.status()["totals"]["shed"] == flood
    assert [connection.get("/").status for connection in kept] == [200] * 20
    for connection in kept:
        connection.close()
    wait_for_calm(server, before)


def test_a_disk_that_is_full_costs_the_bodies_that_need_it(start: Starter) -> None:
    # 2 MiB for each file, which is what a body finds when a disk is full.
    server = start(prefix=["sh", "-c", 'ulimit -f 4096 && exec "$@"', "sh"])
    assert server.post("/sink", b"x" * (1 << 20)).json()["size"] == 1 << 20
    before = wait_for_calm(server)
    for _ in range(20):
        with server.connect() as connection:
            with contextlib.suppress(ConnectionError):
                connection.send(request("POST", "/sink", body=b"x" * (8 << 20)))
            with contextlib.suppress(Closed):
                assert connection.response().status == 507
    assert server.lines_with("a request body cannot be spooled")
    assert server.post("/sink", b"x" * (1 << 20)).json()["size"] == 1 << 20
    wait_for_calm(server, before)


def test_what_an_application_does_wrong_is_its_own_loss(start: Starter) -> None:
    server = start("--workers", "2", "--threads", "2", "--req-queue-len", "1000")
    server.wait_for_ready()

    def endless() -> None:
        with server.connect() as connection:
            connection.send(request("GET", "/endless"))
            connection.drop(1 << 20)
            connection.reset()

    def ask(path: str, status: int) -> Callable[[], None]:
        def once() -> None:
            assert server.get(path).status == status

        return once

    wrongs = [ask("/raise", 500), ask("/exit", 500), ask("/fork", 200), endless]
    for wrong in wrongs:
        wrong()
    before = wait_for_calm(server)
    for _ in range(10):
        for wrong in wrongs:
            wrong()
    wait_for_calm(server, before)
    # Nobody can answer for a worker that has ended itself, but another comes in its place.
    with pytest.raises(Closed):
        server.get("/vanish")
    wait_until(lambda: server.status()["restarts"] == 1, 10)
    server.wait_for_ready()
    assert {server.get("/").body for _ in range(10)} == {b"hello"}
