"""Starts what a test talks to, as processes of their own, and ends it.

What such a process writes is read as it comes, so that it never waits for us, and is kept for the
test to look at.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection, HTTPException
from importlib.util import find_spec
from queue import Empty, Queue
from threading import Thread
from typing import IO, TYPE_CHECKING, Any, ClassVar

from hurricane.testing.actors import TestPublisher

if TYPE_CHECKING:
    from collections.abc import Sequence

MANAGE_FILE = "manage.py"

START_SECONDS_MAX = 20.0
# So long a process may be silent before all that it has to say for now is taken to be said.
QUIET_SECONDS = 0.5
STOP_SECONDS_MAX = 30.0
PORT_SECONDS_MAX = 1.0
CHECK_SECONDS_MAX = 10.0
BROKER_SECONDS_MAX = 60.0
BROKER_IMAGE = "quay.io/blueshoe/rabbitmq3.8-alpine"
BROKER_PORT = 5672


class BusyPortException(Exception):  # noqa: N818 - the name that projects know
    """Something else listens on a port that a test needs."""


class HurricaneBaseDriver:
    """A process that a test starts."""

    proc: subprocess.Popen[bytes] | None = None
    log_lines: list[str] = []  # noqa: RUF012 - projects assign it
    #: How it is started, up to its parameters.
    base_command: ClassVar[list[str]] = []
    #: The same under coverage, which is taken if a test wants it and the package is installed.
    coverage_base_command: ClassVar[list[str]] = []
    #: What it says when it has begun.
    test_string = ""
    #: What it says when it can be used, whichever comes; nothing where silence means that.
    started_strings: tuple[str, ...] = ()
    #: Must be free when the driver is made.
    ports: ClassVar[list[int]] = [8000, 8001]
    source = "--source=hurricane/"
    port = 8000
    probe_port = 8001
    _env: dict[str, str] | None = None

    def __init__(self) -> None:
        for port in self.ports:
            self._expect_free(port)

    def _expect_free(self, port: int) -> None:
        end = time.monotonic() + PORT_SECONDS_MAX
        while True:
            with socket.socket() as probing:
                # Connections of a server before are no server.
                probing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probing.bind(("127.0.0.1", port))
                except OSError as error:
                    if time.monotonic() > end:
                        raise BusyPortException(f"Port {port} already in use.") from error
                else:
                    return
            time.sleep(0.1)

    def get_server_host_port(self, probe_port: bool = False) -> tuple[str, int] | tuple[None, None]:
        """Where it answers, once it was started."""
        if self.proc is None:
            return None, None
        return "localhost", self.probe_port if probe_port else self.port

    def get_output(self, read_all: bool = False) -> tuple[str, str] | None:
        """What it has written, stdout and stderr as they came; the second text is always empty.

        With ``read_all`` everything since its start, once it has been silent for half a second;
        without, the next line, or ``None`` when none comes within a second.
        """
        if not read_all:
            try:
                return self.q.get(timeout=1), ""
            except Empty:
                return None
        while (line := self._next_line(QUIET_SECONDS)) is not None:
            self.log_lines.append(line)
        return "".join(self.log_lines), ""

    def _next_line(self, seconds: float) -> str | None:
        with contextlib.suppress(Empty):
            return self.q.get(timeout=seconds)
        return None

    def _get_env(self) -> dict[str, str]:
        return {**os.environ, **(self._env or {})}

    def start_server(
        self,
        params: Sequence[str] | None = None,
        coverage: bool = True,
        env: dict[str, str] | None = None,
    ) -> None:
        """Starts it; returns when it can be used, has ended, or waits for something."""
        self._env = env
        self._start(params, coverage)

    def stop_server(self) -> None:
        """Ends it."""
        self._stop()

    def _start(self, params: Sequence[str] | None = None, coverage: bool = True) -> None:
        self._stop()
        params = list(params or [])
        under_coverage = coverage and find_spec("coverage") is not None
        command = self.coverage_base_command if under_coverage else self.base_command
        self.set_ports(params)
        self.log_lines = []
        self.q: Queue[str] = Queue()
        self.proc = subprocess.Popen(
            [*command, *params], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self._get_env()
        )
        self.t_stdout = self._read(self.proc.stdout)
        self.t_stderr = self._read(self.proc.stderr)
        self._wait_for_start()

    def _read(self, stream: IO[bytes] | None) -> Thread:
        thread = Thread(target=enqueue, args=(stream, self.q), daemon=True)
        thread.start()
        return thread

    def _wait_for_start(self) -> None:
        end = time.monotonic() + START_SECONDS_MAX
        said = time.monotonic()
        out = ""
        while time.monotonic() < end:
            line = self._next_line(0.05)
            if line is not None:
                self.log_lines.append(line)
                out += line
                said = time.monotonic()
                continue
            is_quiet = time.monotonic() - said > QUIET_SECONDS
            if self.test_string in out and self._can_be_used(out, is_quiet):
                return
            if not (self.t_stdout.is_alive() or self.t_stderr.is_alive()):
                return

    def _can_be_used(self, out: str, is_quiet: bool) -> bool:
        if self.started_strings:
            return any(text in out for text in self.started_strings)
        return is_quiet

    def _stop(self) -> None:
        if self.proc is None or self.proc.poll() is not None:
            return
        self.proc.terminate()
        try:
            self.proc.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()

    def set_ports(self, params: Sequence[str]) -> None:
        """Finds the ports among the parameters."""
        self.port = int(parameter(params, "--port") or 8000)
        self.probe_port = int(parameter(params, "--probe-port") or 8001)


def enqueue(stream: IO[bytes], queue: Queue[str]) -> None:
    """Puts each line of a stream into a queue, until its end."""
    with stream:
        for line in iter(stream.readline, b""):
            queue.put(line.decode("utf-8", "replace"))


def parameter(params: Sequence[str], name: str) -> str | None:
    """What is given for a parameter, as ``--name value`` or ``--name=value``."""
    for at, word in enumerate(params):
        if word == name and at + 1 < len(params):
            return params[at + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def commands(*program: str) -> tuple[list[str], list[str]]:
    """How Python runs a program: by itself, and under coverage."""
    coverage = [sys.executable, "-m", "coverage", "run", HurricaneBaseDriver.source]
    return [sys.executable, *program], [*coverage, *program]


class HurricaneServerDriver(HurricaneBaseDriver):
    """``manage.py serve`` in the working directory."""

    base_command, coverage_base_command = commands(MANAGE_FILE, "serve")
    test_string = "Tornado-powered Django web server"
    # The latter where structlog is installed.
    started_strings = ("Startup time is ", "HTTP configured")

    def _can_be_used(self, out: str, is_quiet: bool) -> bool:
        # Management commands and pending migrations may take as long as they like.
        is_preparing = any(text in out for text in ("execution of", "migrations"))
        return super()._can_be_used(out, is_quiet) or (is_preparing and is_quiet)

    def _wait_for_start(self) -> None:
        super()._wait_for_start()
        if any(text in "".join(self.log_lines) for text in self.started_strings):
            self._wait_for_checks()

    def _wait_for_checks(self) -> None:
        """Waits for the first results of checks, without which readiness fails.

        Probes of Django-Hurricane ran the checks themselves: its tests ask them at once.
        """
        end = time.monotonic() + CHECK_SECONDS_MAX
        while time.monotonic() < end and self._has_pending_checks():
            time.sleep(0.05)

    def _has_pending_checks(self) -> bool:
        """Whether a check has not ended once; false where nobody tells."""
        connection = HTTPConnection("localhost", self.probe_port, timeout=1)
        try:
            connection.request("GET", "/status")
            status = json.loads(connection.getresponse().read())
            return any(check["status"] == "pending" for check in status["checks"])
        except TimeoutError:
            return True
        except (OSError, HTTPException, ValueError, TypeError, KeyError):
            return False
        finally:
            connection.close()


class HurricaneWebhookServerDriver(HurricaneBaseDriver):
    """A receiver of webhooks at ``http://localhost:8074/webhook``."""

    ports: ClassVar[list[int]] = [8040, 8041]
    base_command, coverage_base_command = commands("-m", "hurricane.testing.start_webhook_receiver")
    test_string = "Started webhook receiver server"

    def set_ports(self, params: Sequence[str]) -> None:
        """The receiver has one port."""
        from hurricane.testing.start_webhook_receiver import PORT

        self.port = self.probe_port = int(parameter(params, "--port") or PORT)

    def _can_be_used(self, _out: str, _is_quiet: bool) -> bool:
        return True


class HurricaneAMQPDriver(HurricaneBaseDriver):
    """``manage.py consume`` in the working directory, and a broker in a container."""

    ports: ClassVar[list[int]] = [BROKER_PORT, 8000, 8001]
    base_command, coverage_base_command = commands(MANAGE_FILE, "consume")
    test_string = "Starting a Tornado-powered Django AMQP consumer"
    container: Any = None
    _temp_port: Any = None

    def start_amqp(self) -> None:
        """Starts a broker; after ``halt_amqp`` on the port that it had."""
        client = docker_client()
        port = self._temp_port if self.container else None
        started = client.containers.run(
            BROKER_IMAGE, auto_remove=True, detach=True, ports={str(BROKER_PORT): port}
        )
        self.container = client.containers.get(started.id)
        end = time.monotonic() + BROKER_SECONDS_MAX
        while b"Ready to start client connection listeners" not in self.container.logs():
            if time.monotonic() > end:
                raise TimeoutError(
                    f"the broker of {BROKER_IMAGE} has not started within {BROKER_SECONDS_MAX:g} s"
                )
            time.sleep(0.5)

    def get_test_publisher(self, vhost: str = "/") -> TestPublisher:
        """Publishes to the broker."""
        host, port = self.get_amqp_host_port()
        if host is None or port is None:
            raise RuntimeError("no broker runs; call start_amqp first")
        return TestPublisher(host, int(port), vhost)

    def start_consumer(
        self,
        params: Sequence[str] | None = None,
        coverage: bool = True,
        env: dict[str, str] | None = None,
    ) -> None:
        """Starts the consumer; returns when it is silent or has ended."""
        self.start_server(params, coverage, env)

    def stop_consumer(self) -> None:
        """Ends the consumer."""
        self.stop_server()

    def stop_amqp(self) -> None:
        """Ends the broker."""
        container, self.container = self.container, None
        if container is not None:
            # It may have ended already.
            with contextlib.suppress(Exception):
                container.kill()

    def halt_amqp(self) -> None:
        """Ends the broker, which may be started again on its port."""
        if self.container is not None:
            with contextlib.suppress(Exception):
                self._get_port()
                self.container.kill()

    def _get_port(self) -> Any:  # noqa: ANN401 - as docker tells it
        if self.container is None:
            return None
        self.container = docker_client().containers.get(self.container.id)
        ports = self.container.attrs["NetworkSettings"]["Ports"]
        self._temp_port = ports[f"{BROKER_PORT}/tcp"][0]["HostPort"]
        return self._temp_port

    def get_amqp_host_port(self) -> tuple[str, Any] | tuple[None, None]:
        """Where the broker answers."""
        port = self._get_port()
        return ("127.0.0.1", port) if port else (None, None)


def docker_client() -> Any:  # noqa: ANN401 - the package need not be there
    """The host's docker; a sentence says what is missing."""
    try:
        import docker
    except ImportError as error:
        raise ImportError(
            "a broker in a container needs the package docker; install it where tests run"
        ) from error
    return docker.from_env()
