"""How each server is started with its best documented settings, and stopped again."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from processes import Usage, tree_usage

APPLICATIONS = Path(__file__).parent / "applications"
START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 20


@dataclass(frozen=True)
class Subject:
    """A server to measure: which one, whose executable, and what is added to its command line."""

    kind: str
    executables: Path = field(default_factory=lambda: Path(sys.executable).parent)
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in COMMANDS:
            raise ValueError(f"{self.kind}: the servers are {', '.join(COMMANDS)}")
        if not (self.executables / self.kind).is_file():
            raise ValueError(f"{self.executables / self.kind}: no such file")

    @classmethod
    def parse(cls, text: str) -> "Subject":
        """From `KIND`, `KIND@BIN_DIRECTORY`, each with options behind, as on a command line."""
        name, *options = text.split()
        kind, _, directory = name.partition("@")
        executables = Path(directory).absolute() if directory else Path(sys.executable).parent
        return cls(kind, executables, tuple(options))

    def command(self, application: str, port: int) -> list[str]:
        """The command line that serves an application on one worker."""
        options = [*COMMANDS[self.kind](port), *self.options]
        return [str(self.executables / self.kind), *options, f"{application}:application"]


def _hurricane(port: int) -> list[str]:
    return ["serve", "--host=127.0.0.1", f"--port={port}", f"--probe-port={free_port()}",
            "--workers=1"]  # fmt: skip


def _granian(port: int) -> list[str]:
    # Its documentation leaves threads of the runtime at 1 and warns of a backpressure below the
    # number of kept connections. The runtime `mt` is its own choice for WSGI and cost 0 to 4 % less
    # than `st`. HTTP/2 and protocol upgrades that nobody asks for cost a check per request.
    return ["--interface=wsgi", "--host=127.0.0.1", f"--port={port}", "--workers=1",
            "--blocking-threads=8", "--runtime-mode=mt", "--runtime-threads=1", "--http=1",
            "--no-ws"]  # fmt: skip


COMMANDS = {"hurricane": _hurricane, "granian": _granian}


class Server:
    """A server under measurement, pinned to one CPU."""

    def __init__(self, subject: Subject, application: str, cpu: int, log: Path) -> None:
        self.port = free_port()
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                ["taskset", "--cpu-list", str(cpu), *subject.command(application, self.port)],
                cwd=APPLICATIONS,
                env=os.environ | {"PYTHONPATH": str(APPLICATIONS)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> "Server":
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self._stop()
                raise RuntimeError(f"server does not answer: {self.log.read_text()}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def usage(self) -> Usage:
        """What the server has used since its start."""
        return tree_usage(self.process.pid)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def _stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
