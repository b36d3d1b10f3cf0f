"""What is no comparison of servers under load: start, memory, stalls, and our own client."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generator import Generator, Load
from processes import command_name, tree
from rounds import Policy, interleave, ratio, typical
from running import NotRunningError, Server, Service, Site, answers, serve
from scale import scale
from scenarios import Application
from servers import Subject
from threads import threads

START_RIVALS = ("granian", "gunicorn", "uvicorn", "uwsgi", "bjoern", "django-hurricane")
MEMORY_RIVALS = ("granian", "gunicorn", "uwsgi")
ROUNDS = 3
CLIENT_SECONDS = 2


def start(site: Site, _generator: Generator, deadline: float) -> dict[str, list[float]]:
    """Seconds from exec to the first 200 of Django with the default middleware."""
    seconds: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for kind in ("hurricane", *START_RIVALS):
            if time.monotonic() > deadline and kind in seconds:
                continue
            with (
                contextlib.suppress(NotRunningError),
                serve(Subject(kind), Service(Application.DJANGO_DEFAULT), site) as server,
            ):
                seconds.setdefault(kind, []).append(server.start_seconds)
    return seconds


def memory(site: Site, generator: Generator, _deadline: float) -> dict[str, dict[str, float]]:
    """MiB (PSS) with one worker and with two, each under a short load before."""
    found: dict[str, dict[str, float]] = {}
    load = Load("/page", connections=16)
    for kind in ("hurricane", *MEMORY_RIVALS):
        with contextlib.suppress(NotRunningError):
            sizes = []
            for workers in (1, 2):
                service = Service(Application.DJANGO_DEFAULT, path="/page", workers=workers)
                with serve(Subject(kind), service, site) as server:
                    generator.run(load, server.port, 1)
                    sizes.append(server.pss_mib())
            found[kind] = {"one": sizes[0], "two": sizes[1], "second": sizes[1] - sizes[0]}
    return found


def stall(site: Site, _generator: Generator, _deadline: float) -> dict[str, float]:
    """Seconds until /ready tells that one of two workers stands still, by its timeout."""
    found = {}
    for timeout in (1, 5):
        subject = Subject("hurricane", extra=(f"--heartbeat-timeout={timeout}s",))
        with serve(subject, Service(Application.DJANGO_DEFAULT, workers=2), site) as server:
            worker = next(
                pid for pid in tree(server.process.pid) if command_name(pid) == "hurricane-w1"
            )
            _wait(lambda: answers(server.probe_port, "/ready"), 10)
            os.kill(worker, signal.SIGSTOP)
            began = time.monotonic()
            try:
                _wait(lambda: not answers(server.probe_port, "/ready"), timeout + 10)
                found[str(timeout)] = time.monotonic() - began
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGCONT)
    return found


def rolling(_site: Site, _generator: Generator, _deadline: float) -> dict[str, str]:
    """The table of `rolling.py`, of one round."""
    ended = subprocess.run(
        [sys.executable, "rolling.py", "--rounds=1"],
        cwd=Path(__file__).parent, check=False, capture_output=True, text=True,
    )  # fmt: skip
    # It ends with 1 when we have lost a request, which the table tells too.
    if not ended.stdout:
        raise RuntimeError(f"rolling.py ended with {ended.returncode}: {ended.stderr}")
    return {"table": ended.stdout}


@dataclass(frozen=True)
class Client:
    """What a load generator has cost."""

    cpu_us: float
    rate: float
    foreign: float = 0


def client(site: Site, generator: Generator, deadline: float) -> dict[str, dict[str, float]]:
    """CPU per request of our generator, on each engine, and of wrk, against the same server."""
    names = ["epoll", "tokio-uring", *(["wrk"] if shutil.which("wrk") else [])]
    with serve(Subject("ring"), Service(Application.NATIVE), site) as server:
        rounds = interleave(
            names,
            lambda name: (
                _wrk(generator, server) if name == "wrk" else _ours(name, generator, server)
            ),
            Policy(rounds=5, repeats=0, noise=1, deadline=deadline),
        )
    return {
        name: {
            "cpu_us": typical(rounds, name, lambda each: each.cpu_us),
            "requests_per_second": typical(rounds, name, lambda each: each.rate),
            "share_of_wrk": ratio(rounds, name, names[-1], lambda each: each.cpu_us).median,
        }
        for name in names
    }


def _ours(engine: str, generator: Generator, server: Server) -> Client:
    outcome = generator.run(Load(engine=engine), server.port, CLIENT_SECONDS)
    return Client(outcome.client_cpu_us / outcome.requests, outcome.requests / outcome.seconds)


def _wrk(generator: Generator, server: Server) -> Client:
    """With the fields that our requests carry."""
    fields = ("Accept: */*", "X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: http")
    before = os.times()
    ended = subprocess.run(
        [
            "taskset", "--cpu-list", ",".join(map(str, generator.cpus)), "wrk", "--threads=1",
            "--connections=64", f"--duration={CLIENT_SECONDS}s",
            *(option for field in fields for option in ("--header", field)),
            f"http://127.0.0.1:{server.port}/",
        ],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    after = os.times()
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    said = re.search(r"(\d+) requests in ([\d.]+)s", ended.stdout)
    if said is None:
        raise RuntimeError(f"wrk says: {ended.stdout}")
    requests, seconds = int(said[1]), float(said[2])
    return Client(used / requests * 1e6, requests / seconds)


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"nothing has changed for {seconds} s")
        time.sleep(0.01)


BY_NAME: dict[str, Callable[[Site, Generator, float], dict[str, Any]]] = {
    "start": start,
    "memory": memory,
    "stall": stall,
    "scale": scale,
    "client": client,
    "rolling": rolling,
    "threads": threads,
}
