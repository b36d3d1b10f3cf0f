"""Clients that count what they lose: requests at a fixed rate on new and on kept connections.

Nobody tries twice: a request that is refused, reset, closed upon, answered with anything but 200 or
not answered in time is lost.
"""

import asyncio
import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from dataclasses import dataclass, field

ANSWER_SECONDS_MAX = 10.0


@dataclass
class Traffic:
    """What is sent where, and what became of it."""

    # Gives the port that the next connection goes to.
    choose: Callable[[], int]
    # Requests a second, each on a connection of its own; zero for none.
    new_per_second: float = 50.0
    # Clients that keep their connection as long as they may, and the requests of each a second.
    kept_clients: int = 0
    kept_per_second: float = 10.0
    # Asked for in turn.
    paths: Sequence[str] = ("/",)
    answered: int = 0
    lost: Counter[str] = field(default_factory=Counter)

    async def run(self, enough: asyncio.Event) -> None:
        """Sends until it is enough, then waits for the answers that are under way."""
        paths = itertools.cycle(self.paths)
        async with asyncio.TaskGroup() as clients:
            for number in range(self.kept_clients):
                offset = number / self.kept_clients / self.kept_per_second
                clients.create_task(self._keep(paths, offset, enough))
            async for _ in _ticks(self.new_per_second, 0, enough):
                clients.create_task(self._ask_once(next(paths)))

    @contextlib.contextmanager
    def flowing(self) -> Generator["Traffic"]:
        """Sends from a thread of its own while the block runs."""
        started = threading.Event()
        stop: list[Callable[[], object]] = []

        async def send() -> None:
            enough = asyncio.Event()
            loop = asyncio.get_running_loop()
            stop.append(lambda: loop.call_soon_threadsafe(enough.set))
            started.set()
            await self.run(enough)

        thread = threading.Thread(target=lambda: asyncio.run(send()))
        thread.start()
        started.wait()
        try:
            yield self
        finally:
            stop[0]()
            thread.join()

    async def _ask_once(self, path: str) -> None:
        with self._counting():
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                connection = await Connection.open(self.choose())
                await connection.get(path, "close")

    async def _keep(
        self, paths: "itertools.cycle[str]", offset: float, enough: asyncio.Event
    ) -> None:
        kept: Connection | None = None
        async for _ in _ticks(self.kept_per_second, offset, enough):
            with self._counting():
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    if kept is not None and kept.is_closed():
                        kept.close()
                        kept = None
                    kept = kept or await Connection.open(self.choose())
                    await kept.get(next(paths), "keep-alive")
        if kept is not None:
            kept.close()

    @contextlib.contextmanager
    def _counting(self) -> Generator[None]:
        try:
            yield
        except Refusal as refusal:
            self.lost[str(refusal)] += 1
        except TimeoutError:
            self.lost["timeout"] += 1
        except ConnectionRefusedError:
            self.lost["refused"] += 1
        except ConnectionResetError:
            self.lost["reset"] += 1
        except asyncio.IncompleteReadError:
            self.lost["closed"] += 1
        else:
            self.answered += 1


class Refusal(Exception):  # noqa: N818
    """An answer that is not 200."""


class Connection:
    """One HTTP/1.1 connection. It is closed unless the last answer was whole and lets it live."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connects to a port of this machine."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def is_closed(self) -> bool:
        """Whether either side has closed it, as far as we have heard."""
        return self.writer.is_closing() or self.reader.at_eof()

    def close(self) -> None:
        """Closes our side."""
        self.writer.close()

    async def get(self, path: str, connection: str) -> None:
        """One request and its answer."""
        lives = False
        try:
            request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n"
            self.writer.write(request.encode())
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status, *lines = head.lower().split("\r\n")
            fields = dict(line.split(": ", 1) for line in lines if line)
            await self.reader.readexactly(int(fields["content-length"]))
            if status.split()[1] != "200":
                raise Refusal(status)
            lives = fields.get("connection", connection) != "close"
        finally:
            if not lives:
                self.close()


async def _ticks(per_second: float, offset: float, enough: asyncio.Event) -> AsyncGenerator[None]:
    """Ticks at a fixed rate, however late we are, until it is enough."""
    if per_second == 0:
        return
    begin = time.monotonic() + offset
    for turn in itertools.count():
        wait = begin + turn / per_second - time.monotonic()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(enough.wait(), max(wait, 0))
        if enough.is_set():
            return
        yield
