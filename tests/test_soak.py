"""Minutes of mixed traffic leave nothing behind: ``--soak MINUTES``, shared by the tests."""

import contextlib
import itertools
import statistics
import threading
import time
from collections.abc import Callable, Generator

import pytest

from conftest import ENGINES, Starter
from crowd import FILE_BYTES, Crowd, Footprint, all_descriptors, wait_for_calm
from serving import Server
from traffic import Traffic
from wire import Closed, chunked, request

pytestmark = pytest.mark.soak

PATIENT = ("--head-timeout", "2s", "--body-timeout", "2s", "--write-timeout", "2s")
ROOM = ("--queue-size", "20000", "--req-queue-len", "1000000", "--access-log", "native")
# Clients that are served while a crowd is there.
NORMAL = 64
REQUESTS = 40
# Differences that one wake-up makes are none of the crowd's.
P99_SECONDS_MIN = 0.05


@pytest.fixture(scope="module", autouse=True)
def descriptors() -> Generator[None]:
    """As many for us as there may be."""
    with all_descriptors():
        yield


def seconds(config: pytest.Config) -> float:
    """For how long each engine is soaked."""
    return 60 * float(config.getoption("--soak")) / len(ENGINES)


def file_of(server: Server) -> None:
    """The file that deaf clients ask for."""
    with (server.signals / f"file-{FILE_BYTES}").open("wb") as file:
        file.truncate(FILE_BYTES)


def faults(server: Server) -> list[Callable[[], None]]:
    """What strangers do."""

    def send(data: bytes, *, reads: bool) -> Callable[[], None]:
        def once() -> None:
            with server.connect() as connection, contextlib.suppress(Closed, ConnectionError):
                connection.send(data)
                if reads:
                    connection.response()
                else:
                    connection.reset()
            server.connections.clear()

        return once

    small, large = b"x" * 1000, b"x" * (3 << 20)
    close = "Connection: close"
    return [
        send(request("POST", "/sink", close, body=small), reads=True),
        send(request("POST", "/sink", close, body=large), reads=True),
        send(request("POST", "/sink", close, body=large)[: 2 << 20], reads=False),
        send(
            request("POST", "/sink", close, "Transfer-Encoding: chunked") + chunked(small, small),
            reads=True,
        ),
        send(request("GET", f"/file?size={FILE_BYTES}", close), reads=True),
        send(request("GET", f"/file?size={FILE_BYTES}"), reads=False),
        send(request("GET", "/generated?size=1048576", close), reads=True),
        send(request("GET", "/endless"), reads=False),
        send(request("GET", "/missing", close), reads=True),
        send(request("GET", "/raise", close), reads=True),
        send(b"GET / HTTP/1.1\n\n", reads=True),
        send(b"GET / HT", reads=False),
        send(request("GET", "/", "X-Long: " + "a" * 100_000), reads=True),
        send(request("GET", "/") * 50, reads=False),
    ]


def soak(server: Server, for_seconds: float) -> int:
    """Sends for so long; how many ordinary requests were answered."""
    traffic = Traffic(
        lambda: server.port,
        new_per_second=20,
        kept_clients=8,
        paths=("/", "/named/abc", "/echo", "/cookies"),
    )
    end = time.monotonic() + for_seconds
    with traffic.flowing():
        crowd = Crowd(server, 10, 0)
        for fault in itertools.cycle(faults(server)):
            fault()
            if time.monotonic() > end:
                break
        crowd.leave()
    assert not traffic.lost, traffic.lost
    return traffic.answered


def test_nothing_grows(start: Starter, pytestconfig: pytest.Config) -> None:
    server = start("--workers", "2", "--threads", "4", *PATIENT, *ROOM)
    server.wait_for_ready()
    file_of(server)
    whole = seconds(pytestconfig)
    before: Footprint | None = None
    # The first fifth warms up.
    for share in (0.2, 0.8):
        answered = soak(server, share * whole)
        found = wait_for_calm(server, before)
        before = before or found
        pytestconfig.get_terminal_writer().line(f"{answered} answered, {found}")
    assert server.status()["restarts"] == 0


def latencies(server: Server) -> list[float]:
    """Of requests that as many clients send one after the other."""
    taken: list[float] = []
    failed: list[Exception] = []

    def ask() -> None:
        try:
            with server.connect(60) as connection:
                for _ in range(REQUESTS):
                    begin = time.monotonic()
                    assert connection.get("/").status == 200
                    taken.append(time.monotonic() - begin)
        except (AssertionError, OSError, Closed) as error:
            failed.append(error)

    clients = [threading.Thread(target=ask) for _ in range(NORMAL)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert failed == []
    return taken


@pytest.mark.slow
def test_a_crowd_of_thousands_at_most_doubles_what_others_wait(
    start: Starter, pytestconfig: pytest.Config
) -> None:
    patience = [word for flag in PATIENT[::2] for word in (flag, "60s")]
    server = start("--workers", "2", "--threads", "4", *patience, *ROOM)
    server.wait_for_ready()
    file_of(server)

    def p99() -> float:
        # The best of some: a shared machine may take the CPU away at any time.
        return min(statistics.quantiles(latencies(server), n=100)[98] for _ in range(5))

    alone = p99()
    crowd = Crowd(server, 1000, 0)
    beside = p99()
    said = f"p99 alone {alone * 1e3:.1f} ms, beside 3,000: {beside * 1e3:.1f} ms"
    pytestconfig.get_terminal_writer().line(said)
    crowd.leave()
    assert beside <= max(2 * alone, P99_SECONDS_MIN)
