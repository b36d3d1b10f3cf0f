"""A server under measurement: started on its CPUs, watched, stopped."""

import os
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from processes import Usage, tree_pss_mib, tree_usage
from scenarios import Application
from servers import APPLICATIONS, Places, Start, Subject, free_port
from sized import directory

ROOT = APPLICATIONS.parent.parent
START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 20
ROWS = 1000


@dataclass(frozen=True)
class Site:
    """Where servers run and write."""

    places: Places
    cpus: tuple[int, ...]
    scratch: Path


class NotRunningError(Exception):
    """The server is not installed or does not start; the text says why."""


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    name: str
    command: list[str]
    process: "subprocess.Popen[bytes]"
    port: int
    probe_port: int
    cpus: tuple[int, ...]
    # From exec to the first 200.
    start_seconds: float
    log: Path

    def shown_command(self, site: Site) -> list[str]:
        """The command line without what is of this run and this machine."""
        names = {
            str(site.scratch): "SCRATCH",
            f"{ROOT}/": "",
            str(self.probe_port): "PROBE_PORT",
            str(self.port): "PORT",
        }
        line = "\n".join([Path(self.command[0]).name, *self.command[1:]])
        for text, name in names.items():
            line = line.replace(text, name)
        return line.split("\n")

    def usage(self) -> Usage:
        """What all its processes have used since the start."""
        return tree_usage(self.process.pid)

    def pss_mib(self) -> float:
        """What all its processes hold."""
        return tree_pss_mib(self.process.pid)


@dataclass(frozen=True)
class Service:
    """What a server is to serve, and how much of itself it gives to it."""

    application: Application
    # What it answers with 200 when it has started.
    path: str = "/"
    threads: int | None = None
    workers: int = 1


@contextmanager
def serve(subject: Subject, service: Service, site: Site) -> Iterator[Server]:
    """Starts a server, waits until it answers, and stops it at the end."""
    start = Start(
        service.application,
        free_port(),
        free_port(),
        site.scratch,
        service.threads,
        service.workers,
    )
    command = subject.command(site.places, start)
    if command is None:
        raise NotRunningError(f"{subject.kind} is not installed; --rivals all installs what can be")
    log = site.scratch / f"{subject.kind}.log"
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "--cpu-list", ",".join(map(str, site.cpus)), *command],
            cwd=APPLICATIONS,
            env=_environment(service.application, command, site),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        while not answers(start.port, service.path):
            if process.poll() is not None or time.monotonic() > began + START_SECONDS_MAX:
                raise NotRunningError(
                    f"{subject.name} does not answer {service.path}: {log.read_text()}"
                )
            time.sleep(0.005)
        seconds = time.monotonic() - began
        yield Server(
            subject.name, command, process, start.port, start.probe_port, site.cpus, seconds, log
        )
    finally:
        stop(process)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Asks a process to end, and ends it when it does not."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def answers(port: int, path: str) -> bool:
    """Whether a path of a server on loopback is answered with 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(request.encode())
            return connection.recv(64).startswith((b"HTTP/1.1 200 ", b"HTTP/1.0 200 "))
    except OSError:
        return False


def _environment(application: Application, command: list[str], site: Site) -> dict[str, str]:
    environment = os.environ | {"PYTHONPATH": str(APPLICATIONS)}
    if application.settings:
        environment["DJANGO_SETTINGS_MODULE"] = application.settings
        environment["LOADTEST_DATABASE"] = str(_database(site.scratch))
        environment["LOADTEST_FILES"] = str(directory() / "static")
    if "django_command.py" in command:
        environment["LOADTEST_MANAGED"] = "1"
    return environment


def _database(scratch: Path) -> Path:
    """The table that `measured.models` reads, made once."""
    path = scratch / "measured.sqlite3"
    if not path.exists():
        rows = [(n, f"Title {n}", f"Author {n}", n * 3) for n in range(1, ROWS + 1)]
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(
                "CREATE TABLE measured_book (id integer PRIMARY KEY, title text NOT NULL,"
                " author text NOT NULL, price integer NOT NULL)"
            )
            database.executemany("INSERT INTO measured_book VALUES (?, ?, ?, ?)", rows)
    return path
