"""A kubelet's prober: what it sends, what it takes for an answer, and what it does with it.

As measured with kubelet 1.36 and read in its source (``pkg/probe/http``, ``pkg/kubelet/prober``):

- A probe is one GET on a new connection, with the bytes of ``probe.request`` and one second (or
  ``timeoutSeconds``) for everything from connecting to the end of the body.
- 200 to 399 succeed; 300 and above as a warning, unless they lead to the same host: then they are
  followed, ten times at most.
- Of a body 10 KiB are read. A body that does not end says neither yes nor no: the probe is sent
  twice more and then forgotten.
- Readiness and liveness are asked once the startup probe has succeeded, readiness at once. A
  verdict changes after ``failureThreshold`` or ``successThreshold`` equal answers in a row. Of a
  pod that is being deleted only readiness is asked.
"""

import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import urljoin, urlsplit

import wire
from probe import HOST, request

BODY_BYTES_MAX = 10 * 1024
REDIRECTS_MAX = 10
TRIES = 3
REDIRECTS = {301, 302, 303, 307, 308}
ORDER = ("startup", "readiness", "liveness")


class Outcome(Enum):
    """What a kubelet calls the end of a probe."""

    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"
    UNKNOWN = "unknown"


class BodyLost(wire.Closed):
    """The head came, its body did not end in time."""


class TooManyRedirects(wire.Closed):
    """It was led around."""


@dataclass
class Probe:
    """What a kubelet sees of one probe."""

    response: wire.Response
    seconds: float
    in_one_piece: bool

    @property
    def outcome(self) -> Outcome:
        """Whether that succeeds."""
        if not 200 <= self.response.status < 400:
            return Outcome.FAILURE
        return Outcome.SUCCESS if self.response.status < 300 else Outcome.WARNING


class Connection(wire.Connection):
    """One that is given a time for everything."""

    def __init__(self, port: int, end: float) -> None:
        self.end = end
        super().__init__(port, timeout=self.left(), host=HOST)
        linger = struct.pack("ii", 1, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def left(self) -> float:
        """How long it may still take."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the probe took too long")
        return left

    def fill(self) -> None:
        """Receives once, in time."""
        self.socket.settimeout(self.left())
        super().fill()

    def body_of(self, response: wire.Response, method: str) -> bytes:
        """As much of the body as is read: a longer one is cut off."""
        length = response.header("Content-Length")
        if length is not None and int(length) > BODY_BYTES_MAX:
            return self.exactly(BODY_BYTES_MAX)
        return super().body_of(response, method)[:BODY_BYTES_MAX]


def probe(port: int, path: str, timeout: float = 1.0) -> Probe:
    """Sends one and follows where it is led.

    Raises what fails it: refused, reset, garbage, too late. ``BodyLost`` is neither yes nor no.
    """
    begin = time.monotonic()
    url, referer = f"http://{HOST}:{port}{path}", None
    for _ in range(REDIRECTS_MAX):
        found = exchange(url, referer, begin, timeout)
        location = found.response.header("Location")
        if found.response.status not in REDIRECTS or location is None:
            return found
        referer, url = url, urljoin(url, location)
        if urlsplit(url).hostname != HOST:
            return found
    raise TooManyRedirects(f"stopped after {REDIRECTS_MAX} redirects")


def exchange(url: str, referer: str | None, begin: float, timeout: float) -> Probe:
    """One request and its response; the server has to close the connection."""
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    with Connection(parts.port or 80, begin + timeout) as connection:
        connection.send(request(target, parts.port or 80, referer))
        connection.fill()
        first = len(connection.buffer)
        response = connection.head()
        while response.status == 100:
            response = connection.head()
        try:
            response.body = connection.body_of(response, "GET")
        except (OSError, wire.Closed) as error:
            raise BodyLost(str(error)) from error
        if len(response.body) < BODY_BYTES_MAX:
            # A kubelet does not wait for that; we look.
            assert connection.is_closed_by_peer()
        length = len(response.head) + len(response.body)
        return Probe(response, time.monotonic() - begin, in_one_piece=first == length)


def ask(port: int, path: str, timeout: float = 1.0) -> Outcome:
    """How a probe ends, whatever happens to it."""
    outcome = Outcome.UNKNOWN
    for _ in range(TRIES):
        try:
            return probe(port, path, timeout).outcome
        except BodyLost:
            outcome = Outcome.UNKNOWN
        except (OSError, wire.Closed, ValueError, AssertionError):
            # The last two: what came is not HTTP.
            return Outcome.FAILURE
    return outcome


@dataclass(frozen=True)
class Schedule:
    """How a manifest wants a probe to be sent; the defaults are those of Kubernetes."""

    path: str
    period_seconds: float = 10
    timeout_seconds: float = 1
    failure_threshold: int = 3
    success_threshold: int = 1
    initial_delay_seconds: float = 0

    @classmethod
    def of(cls, manifest: Mapping[str, Any], pace: float = 1) -> "Schedule":
        """That of a probe in a pod's manifest; with periods ``pace`` times shorter."""
        return cls(
            path=manifest["httpGet"]["path"],
            period_seconds=manifest.get("periodSeconds", 10) / pace,
            timeout_seconds=manifest.get("timeoutSeconds", 1),
            failure_threshold=manifest.get("failureThreshold", 3),
            success_threshold=manifest.get("successThreshold", 1),
            initial_delay_seconds=manifest.get("initialDelaySeconds", 0) / pace,
        )


@dataclass
class Kubelet:
    """The probes of one container, each on a thread of its own as in a kubelet."""

    port: int
    schedules: Mapping[str, Schedule]
    # What each probe says, as far as its thresholds let it.
    verdicts: dict[str, bool] = field(default_factory=dict)
    # Every probe that was sent and how it ended, in order.
    sent: list[tuple[str, Outcome]] = field(default_factory=list)
    deleted: bool = False
    ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.verdicts = {"startup": "startup" not in self.schedules, "readiness": False}
        self.verdicts["liveness"] = True
        self.wakes = {name: threading.Event() for name in self.schedules}
        self.begin = time.monotonic()

    @property
    def is_ready(self) -> bool:
        """Whether the container counts as ready."""
        return self.verdicts["startup"] and self.verdicts["readiness"]

    def delete(self) -> None:
        """The pod is being deleted."""
        self.deleted = True

    def watch(self, name: str) -> None:
        """Sends a probe again and again."""
        schedule, wake = self.schedules[name], self.wakes[name]
        last, run = Outcome.UNKNOWN, 0
        due = self.begin + schedule.initial_delay_seconds
        while True:
            wake.wait(max(due - time.monotonic(), 0))
            wake.clear()
            due = max(due + schedule.period_seconds, time.monotonic())
            if self.ended.is_set() or (self.deleted and name != "readiness"):
                return
            if self.verdicts["startup"] == (name == "startup"):
                # Not yet, or not any more.
                continue
            outcome = ask(self.port, schedule.path, schedule.timeout_seconds)
            self.sent.append((name, outcome))
            if outcome is Outcome.UNKNOWN:
                continue
            passes = outcome is not Outcome.FAILURE
            run = run + 1 if (last is not Outcome.FAILURE) == passes and run else 1
            last = outcome
            wanted = schedule.success_threshold if passes else schedule.failure_threshold
            if run < wanted:
                continue
            self.verdicts[name] = passes
            if name == "startup" and passes and "readiness" in self.wakes:
                self.wakes["readiness"].set()


@contextmanager
def watching(port: int, schedules: Mapping[str, Schedule]) -> Iterator[Kubelet]:
    """Probes a container until the end of the block."""
    kubelet = Kubelet(port, schedules)
    threads = [threading.Thread(target=kubelet.watch, args=[name]) for name in schedules]
    for thread in threads:
        thread.start()
    try:
        yield kubelet
    finally:
        kubelet.ended.set()
        for wake in kubelet.wakes.values():
            wake.set()
        for thread in threads:
            thread.join()
