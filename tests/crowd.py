"""Clients that are slow or deaf, and what a server holds before and after them."""

import contextlib
import resource
import socket
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from condition import wait_until
from serving import Server
from wire import Connection, request

SLACK_BYTES = 32 << 20
# Threads and descriptors that are made when there is first something for them to do, such as those
# that wait for disks. Faults come in tens at least: what they left behind would be more.
SLACK = 8
FILE_BYTES = 8 << 20


@contextlib.contextmanager
def all_descriptors() -> Generator[None]:
    """As many for us as there may be."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@dataclass(frozen=True)
class Footprint:
    """What the processes of a server hold."""

    pids: tuple[int, ...]
    descriptors: int
    threads: int
    memory_bytes: int

    @classmethod
    def of(cls, server: Server) -> "Footprint":
        """As it is now."""
        pids = sorted(server.family())
        descriptors = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)
        return cls(tuple(pids), descriptors, sum(map(threads, pids)), sum(map(memory_bytes, pids)))


def threads(pid: int) -> int:
    """Threads but for those in which the kernel waits for disks in a ring's place, as it likes."""
    names = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/comm")]
    return sum(not name.startswith("iou-") for name in names)


def memory_bytes(pid: int) -> int:
    """What of the memory is the process's own, pages that it shares counted in part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


def wait_for_calm(server: Server, before: Footprint | None = None) -> Footprint:
    """Waits until no connection is left, and nothing that was not there before."""
    wait_until(lambda: server.status()["totals"]["connections"] == 0, 30, "no connection")
    found = Footprint.of(server)
    if before is None:
        return found

    def is_calm() -> bool:
        nonlocal found
        found = Footprint.of(server)
        assert found.pids == before.pids, "no process ends"
        return (
            found.descriptors <= before.descriptors + SLACK
            and found.threads <= before.threads + SLACK
            and found.memory_bytes <= before.memory_bytes + SLACK_BYTES
        )

    try:
        wait_until(is_calm, 20)
    except AssertionError as error:
        raise AssertionError(f"{found} is more than {before}") from error
    return found


class Crowd:
    """Slow heads, slow bodies, and clients that never read."""

    def __init__(self, server: Server, count: int, others: int) -> None:
        self.server = server
        # Connections that there may be besides.
        self.others = others
        self.slow = [server.connect() for _ in range(2 * count)]
        for number, connection in enumerate(self.slow):
            length = "Content-Length: 100000"
            sent = b"GET / HTTP/1.1\r\n" if number % 2 else request("POST", "/sink", length)
            connection.send(sent)
        self.deaf = [deaf(server, f"/file?size={FILE_BYTES}") for _ in range(count)]

    def drip(self) -> None:
        """A byte from each; those that were given up are gone."""
        for connection in self.slow:
            with contextlib.suppress(OSError):
                connection.socket.send(b"x")

    def has_gone(self) -> bool:
        """Whether the server has given all of them up, however they go on."""
        self.drip()
        return int(self.server.status()["totals"]["connections"]) <= self.others

    def leave(self) -> None:
        """Closes what is left."""
        for connection in (*self.slow, *self.deaf):
            connection.close()


def deaf(server: Server, path: str) -> Connection:
    """A client that asks and takes no more than its kernel does."""
    connection = server.connect()
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.send(request("GET", path))
    return connection
