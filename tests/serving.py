"""Starts servers as a user does, on free ports, and ends them with all their processes."""

import contextlib
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import kubelet
import wire
from condition import wait_until

TESTS = Path(__file__).resolve().parent
PROJECT = TESTS / "project"
APPS = TESTS / "apps"
BOOKSHOP = TESTS.parent / "examples" / "bookshop"
REFUSE_RING = TESTS / "refuse_ring.py"

START_SECONDS = 20.0
STOP_SECONDS = 10.0
UNPRIVILEGED_PORT_MIN = 10_000
# What a filter in front of the server answers to io_uring's calls.
REFUSED_WITH = {"epoll": "EPERM", "epoll-enosys": "ENOSYS"}


def ports() -> Iterator[int]:
    """Ports that the kernel gives to nobody who asks for any.

    Other tests open connections between our choice and the server's bind. Of several processes
    that run tests each has ports of its own, and takes one after the other.
    """
    ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ours = range(UNPRIVILEGED_PORT_MIN + process, ephemeral, processes)
    begin = random.randrange(len(ours))
    return itertools.cycle([*ours[begin:], *ours[:begin]])


PORTS = ports()


def free_port() -> int:
    """A port on which nothing listens."""
    while True:
        port = next(PORTS)
        with socket.socket() as probing, contextlib.suppress(OSError):
            probing.bind(("127.0.0.1", port))
            return port


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Our own without what would configure a server; warnings are errors."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HURRICANE_", "KUBERNETES_", "DJANGO_", "PYTHON"))
    }
    return {**ours, "PYTHONWARNINGS": "error", "NO_COLOR": "1", **extra}


def command(application: str | None, engine: str) -> list[str]:
    """How to start a server up to its flags: Django's project, or a WSGI callable."""
    serve = ["manage.py", "serve"] if application is None else ["-m", "hurricane", "serve"]
    words = [sys.executable, *serve, *([application] if application else [])]
    if engine in REFUSED_WITH:
        return [sys.executable, str(REFUSE_RING), REFUSED_WITH[engine], *words]
    return words


def run(
    words: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path = PROJECT,
    deadline: float = START_SECONDS,
    pass_fds: Sequence[int] = (),
) -> subprocess.CompletedProcess[str]:
    """Runs something that ends by itself."""
    return subprocess.run(
        words,
        cwd=cwd,
        env=environment(env or {}),
        capture_output=True,
        text=True,
        timeout=deadline,
        check=False,
        pass_fds=pass_fds,
    )


class Server:
    """A running server."""

    def __init__(
        self,
        directory: Path,
        flags: Sequence[str],
        env: Mapping[str, str],
        engine: str,
        application: str | None,
        prefix: Sequence[str] = (),
        project: Path = PROJECT,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.port = free_port()
        ours = ["--port", str(self.port), "--workers", "1"]
        cwd = project if application is None or project != PROJECT else APPS
        words = [*prefix, *command(application, engine), *ours]
        self.launch(directory, words, flags, env, cwd, pass_fds)

    def launch(
        self,
        directory: Path,
        words: Sequence[str],
        flags: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Starts the process, with what every server is given, flags of the test last."""
        self.signals = directory
        self.probe_port = free_port()
        self.stderr = directory / "stderr"
        self.connections: list[wire.Connection] = []
        ours = ["--host", "127.0.0.1"]
        ours += ["--probe-port", str(self.probe_port), "--check-interval", "0.2"]
        signals = {"STAGE_SIGNALS": str(directory), "STAGE_DATABASE": str(directory / "db")}
        with self.stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*words, *ours, *flags],
                cwd=cwd,
                env=environment({**signals, **env}),
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=pass_fds,
            )

    def log(self) -> str:
        """Everything that the server has written."""
        return self.stderr.read_text(errors="replace") if self.stderr.exists() else ""

    def lines_with(self, text: str) -> list[str]:
        """Those lines of the log."""
        return [line for line in self.log().splitlines() if text in line]

    def wait_for_start(self, deadline: float = START_SECONDS) -> None:
        """Waits until the startup probe succeeds."""

        def started() -> bool:
            code = self.process.poll()
            assert code is None, f"the server ended with {code}:\n{self.log()}"
            try:
                return kubelet.probe(self.probe_port, "/startup").response.status == 200
            except (OSError, wire.Closed):
                return False

        wait_until(started, deadline, "startup")

    def wait_for_ready(self, deadline: float = START_SECONDS, path: str = "/ready") -> None:
        """Waits until the readiness probe succeeds, which is when all checks have ended once."""
        wait_until(lambda: self.probe(path).response.status == 200, deadline, "readiness")

    def wait_for_stopping(self) -> None:
        """Waits until every worker has heard that it is to stop."""
        wait_until(
            lambda: {worker["state"] for worker in self.status()["workers"]} == {"stopping"},
            5,
            "all workers to have heard of it",
        )

    def get(self, path: str = "/", *headers: str) -> wire.Response:
        """One GET on a connection of its own."""
        return wire.get(self.port, path, *headers)

    def post(self, path: str, body: bytes, *headers: str) -> wire.Response:
        """One POST on a connection of its own."""
        return wire.post(self.port, path, body, *headers)

    def connect(self, timeout: float = wire.TIMEOUT_SECONDS) -> wire.Connection:
        """A new connection to the application's port; what a test leaves open ends with us."""
        connection = wire.Connection(self.port, timeout=timeout)
        self.connections.append(connection)
        return connection

    def probe(self, path: str) -> kubelet.Probe:
        """Asks as a kubelet does, but with patience for a busy machine."""
        return kubelet.probe(self.probe_port, path, timeout=5.0)

    def status(self) -> dict[str, Any]:
        """``/status``."""
        status: dict[str, Any] = wire.get(self.probe_port, "/status").json()
        return status

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        return [worker["pid"] for worker in self.status()["workers"]]

    def put(self, name: str, text: str = "") -> Path:
        """Makes a file that a view or check looks for."""
        path = self.signals / name
        path.write_text(text)
        return path

    def remove(self, name: str) -> None:
        """Removes it again."""
        (self.signals / name).unlink(missing_ok=True)

    def lines(self, name: str) -> list[str]:
        """What a view has noted so far."""
        path = self.signals / name
        return path.read_text().splitlines() if path.exists() else []

    def wait_for_lines(self, name: str, count: int, deadline: float = 10.0) -> list[str]:
        """Waits until a view has noted so many lines."""
        return wait_until(
            lambda: found if len(found := self.lines(name)) >= count else [],
            deadline,
            f"{count} lines in {name}",
        )

    def terminate(self) -> None:
        """SIGTERM to the server's first process, as Kubernetes does."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, deadline: float = STOP_SECONDS) -> int:
        """The exit code."""
        return self.process.wait(deadline)

    def end(self) -> None:
        """Ends every process of the server, whatever state it is in."""
        for connection in self.connections:
            connection.close()
        if self.process.poll() is None:
            self.terminate()
            for name in list(self.signals.glob("*-entered")):
                self.put(name.name.replace("-entered", "-open"))
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(2.0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(STOP_SECONDS)

    def family(self) -> list[int]:
        """Every living process of the server's group and session."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            state, _parent, group, session = fields[:4]
            if str(self.process.pid) in (group, session) and state != "Z":
                found.append(int(entry.name))
        return found

    def control(self) -> int:
        """The process that answers probes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        names = {pid: Path(f"/proc/{pid}/comm").read_text() for pid in children.split()}
        return next(int(pid) for pid, name in names.items() if name == "hurricane-ctl\n")

    def peak_bytes(self) -> int:
        """The sum of all processes' largest resident sets since ``forget_peak``."""
        return sum(status_kib(pid, "VmHWM") for pid in self.family()) * 1024

    def forget_peak(self) -> int:
        """Begins to measure anew; returns the resident bytes now."""
        for pid in self.family():
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        return self.peak_bytes()


def stop(pid: int) -> None:
    """SIGSTOP; returns when every thread of the process has stopped."""
    os.kill(pid, signal.SIGSTOP)

    def stopped() -> bool:
        states = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
        return all(state.rpartition(")")[2].split()[0] == "T" for state in states)

    wait_until(stopped, 5, f"process {pid} to stop")


def status_kib(pid: int, name: str) -> int:
    """A field of ``/proc/PID/status``."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(name)), 0)


def as_settings(**settings: object) -> dict[str, str]:
    """Settings of the served project as the environment that carries them."""
    return {"STAGE_SETTINGS": json.dumps(settings)}
