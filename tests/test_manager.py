"""What a service manager (systemd) passes to a server, and what it is told."""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import wire
from conftest import Starter
from serving import STOP_SECONDS, TESTS, Server, command, run, stop
from wire import Connection, request

MANY = ("--workers", "2", "--req-queue-len", "1000")
OURS = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}


class Manager:
    """Holds sockets, and starts servers with them."""

    def __init__(self, start: Starter) -> None:
        self.start = start
        self.sockets: dict[str, socket.socket] = {}

    def listen(self, name: str, place: Path | None = None) -> int | Path:
        """Opens a socket; returns where."""
        if place is None:
            listener = socket.create_server(("127.0.0.1", 0))
        else:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(place))
            listener.listen()
        self.sockets[name] = listener
        port: int = listener.getsockname()[1] if place is None else 0
        return place or port

    def prefix(self) -> list[str]:
        """What passes the sockets to a program."""
        numbers = ",".join(str(listener.fileno()) for listener in self.sockets.values())
        return [sys.executable, str(TESTS / "activate.py"), numbers, ":".join(self.sockets)]

    def numbers(self) -> list[int]:
        """Descriptors of the sockets."""
        return [listener.fileno() for listener in self.sockets.values()]

    def serve(self, *flags: str, application: str | None = None) -> Server:
        """Starts a server with all of them."""
        return self.start(
            *flags, prefix=self.prefix(), pass_fds=self.numbers(), application=application
        )

    def refusal(self, *flags: str) -> str:
        """What a server says that refuses them."""
        words = [*self.prefix(), *command(None, "any"), "--no-probe", *flags]
        ended = run(words, pass_fds=self.numbers())
        assert ended.returncode == 1, ended.stderr
        return ended.stderr

    def close(self) -> None:
        """Closes the sockets."""
        for listener in self.sockets.values():
            listener.close()


@pytest.fixture
def manager(start: Starter) -> Iterator[Manager]:
    """A service manager, for servers on each engine."""
    managing = Manager(start)
    yield managing
    managing.close()


class Told:
    """The socket that a server notifies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(STOP_SECONDS)

    def next(self) -> list[str]:
        """The lines of the next message."""
        return self.socket.recv(4096).decode().splitlines()

    def until(self, line: str) -> list[list[str]]:
        """Messages up to the first with that line."""
        messages = [self.next()]
        while line not in messages[-1]:
            messages.append(self.next())
        return messages

    def forget(self) -> None:
        """Skips what has come so far."""
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while self.next():
                pass


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    """Where servers say how they are."""
    listening = Told(tmp_path / "notify")
    yield listening
    listening.socket.close()


@pytest.mark.alone
@pytest.mark.parametrize("over", ["tcp", "unix"])
def test_a_passed_socket_serves_the_application(
    manager: Manager, tmp_path: Path, over: str
) -> None:
    place = manager.listen("web", tmp_path / "web.sock" if over == "unix" else None)
    # It came before there was a server.
    with Connection(place) as early:
        early.send(request("GET", "/"))
        server = manager.serve(*MANY)
        assert early.response().body == b"hello"
        kept = [Connection(place) for _ in range(16)]
        assert [connection.get("/").body for connection in kept] == [b"hello"] * 16
        assert min(worker["connections"] for worker in server.status()["workers"]) >= 4
        for connection in kept:
            connection.close()
    with pytest.raises(ConnectionRefusedError):
        Connection(server.port)


def test_the_manager_keeps_its_socket_for_the_next_server(manager: Manager, tmp_path: Path) -> None:
    place = manager.listen("web", tmp_path / "web.sock")
    first = manager.serve()
    first.terminate()
    assert first.wait() == 0
    with Connection(place) as connection:
        connection.send(request("GET", "/"))
        manager.serve()
        assert connection.response().body == b"hello"


def test_probes_have_a_passed_socket_too(manager: Manager) -> None:
    web, probes = manager.listen("web"), manager.listen("probe")
    assert isinstance(probes, int)
    server = manager.start(
        prefix=manager.prefix(), pass_fds=manager.numbers(), wait=False, application=None
    )
    server.probe_port = probes
    server.wait_for_start()
    assert wire.get(web).body == b"hello"


def test_the_application_does_not_see_what_is_said_to_the_server(
    manager: Manager, told: Told
) -> None:
    place = manager.listen("web")
    env = {"NOTIFY_SOCKET": str(told.path), "WATCHDOG_USEC": "10000000"}
    manager.start(
        application="wsgi_apps:dispatch",
        env=env,
        prefix=manager.prefix(),
        pass_fds=manager.numbers(),
    )
    names = set(wire.get(place, "/variables").json())
    assert "STAGE_SIGNALS" in names
    assert names & OURS == set()


def test_sockets_that_cannot_be_used_are_named(start_once: Starter, tmp_path: Path) -> None:
    manager = Manager(start_once)
    manager.listen("web")
    assert "--uds is given and the socket unit" in manager.refusal("--uds", str(tmp_path / "x"))
    manager.listen("other")
    assert "passes 2 sockets for the application" in manager.refusal()
    manager.close()
    manager.sockets = {"datagrams": socket.socket(socket.AF_INET, socket.SOCK_DGRAM)}
    assert "socket datagrams of the socket unit" in manager.refusal()
    manager.close()
    manager.sockets.clear()
    manager.listen("probe", tmp_path / "probe.sock")
    assert "has to be a TCP socket" in manager.refusal()
    manager.close()


def test_readiness_and_the_end_are_told(start: Starter, told: Told) -> None:
    server = start(*MANY, "--drain-delay", "200ms", env={"NOTIFY_SOCKET": str(told.path)})
    before = told.until("READY=1")
    assert before[0] == ["STATUS=starting workers"]
    assert before[-1][1].startswith("STATUS=2 workers serve 127.0.0.1:")
    server.terminate()
    assert told.next()[0] == "STOPPING=1"
    assert told.next() == ["STOPPING=1", "STATUS=no longer accepting; ending what runs"]
    assert server.wait() == 0


def test_a_reload_is_told_from_its_begin_to_its_end(start_once: Starter, told: Told) -> None:
    env = {"NOTIFY_SOCKET": str(told.path), "WATCHDOG_USEC": "60000000"}
    server = start_once(env=env)
    told.until("READY=1")
    server.process.send_signal(signal.SIGHUP)
    begin = told.until("RELOADING=1")[-1]
    assert any(line.startswith("MONOTONIC_USEC=") for line in begin)
    messages = told.until("READY=1")
    assert "STATUS=every worker runs the new code" in messages[-1]
    patience = [line for message in messages for line in message if "WATCHDOG_USEC" in line]
    # More while the code is loaded, then what the manager wants.
    assert int(patience[0].partition("=")[2]) > 60_000_000
    assert patience[-1] == "WATCHDOG_USEC=60000000"


def test_the_watchdog_beats_while_the_supervisor_does(start_once: Starter, told: Told) -> None:
    env = {"NOTIFY_SOCKET": str(told.path), "WATCHDOG_USEC": "400000"}
    server = start_once(env=env)
    told.until("READY=1")
    for _ in range(3):
        told.until("WATCHDOG=1")
    stop(server.process.pid)
    told.forget()
    told.socket.settimeout(0.6)
    with pytest.raises(TimeoutError):
        told.next()
    told.socket.settimeout(STOP_SECONDS)
    os.kill(server.process.pid, signal.SIGCONT)
    told.until("WATCHDOG=1")
