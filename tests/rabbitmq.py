"""A RabbitMQ server for tests, of Debian's package, and a way to it that can be cut."""

import contextlib
import fcntl
import json
import os
import selectors
import shutil
import signal
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pika

from condition import wait_until
from serving import free_port

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
START_SECONDS = 60.0
# The server has little to do, and is not to spin meanwhile.
FEW_THREADS = "+S 2:2 +SDio 2 +sbwt none"


class RabbitMQ:
    """A server of its own: ports, node name, cookie and port mapper (epmd) are nobody else's."""

    def __init__(self, port: int, groups: list[int], users: int = 0) -> None:
        self.port = port
        # Process groups: the port mapper's, and the server's with all that it has started.
        self.groups = groups
        self.users = users

    @classmethod
    def start(cls, directory: Path) -> Self:
        """Starts one and waits until it takes connections."""
        epmd = shutil.which("epmd")
        assert PROGRAM.exists(), "RabbitMQ is missing: apt-get install rabbitmq-server"
        assert epmd, "RabbitMQ's epmd is missing: apt-get install rabbitmq-server"
        port, mapper_port = free_port(), str(free_port())
        ours = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RABBITMQ_", "ERL_"))
        }
        environment = ours | {
            "ERL_CRASH_DUMP_SECONDS": "0",
            "HOME": str(directory),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": mapper_port,
            "RABBITMQ_CONFIG_FILE": str(directory / "config"),
            "RABBITMQ_CONF_ENV_FILE": str(directory / "environment"),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
            "RABBITMQ_NODENAME": f"hurricane{os.getpid()}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": FEW_THREADS,
        }
        output = directory / "output"

        def spawn(*words: str) -> int:
            # Not by subprocess: another process may be the one that ends it.
            write = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            return os.posix_spawn(
                words[0],
                words,
                environment,
                setsid=True,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(output), write, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
            )

        mapper = spawn(epmd, "-address", "127.0.0.1", "-port", mapper_port)
        program = spawn(str(PROGRAM))
        server = cls(port, [mapper, program])

        def started() -> bool:
            ended, status = os.waitpid(program, os.WNOHANG)
            assert ended == 0, f"RabbitMQ ended with {status}:\n{output.read_text()}"
            with contextlib.suppress(pika.exceptions.AMQPError), server.channel():
                return True
            return False

        try:
            wait_until(started, START_SECONDS, "RabbitMQ's start")
        except BaseException:
            server.end()
            raise
        return server

    @classmethod
    def at(cls, note: Path) -> Self:
        """The one that another process has noted."""
        return cls(**json.loads(note.read_text()))

    def note(self, note: Path, users: int) -> None:
        """Notes it for others."""
        self.users = users
        note.write_text(json.dumps(vars(self)))

    def end(self) -> None:
        """Ends it with everything that it has started."""
        for group in self.groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(group, 0)

    @contextmanager
    def channel(self) -> Generator[Any]:
        """A channel of a connection that ends with the block."""
        connection = pika.BlockingConnection(
            pika.ConnectionParameters(host="127.0.0.1", port=self.port)
        )
        try:
            yield connection.channel()
        finally:
            connection.close()


@contextmanager
def shared(directory: Path) -> Generator[RabbitMQ]:
    """The server of all processes that run tests; the last one to leave ends it."""
    directory.mkdir(exist_ok=True)
    note = directory / "server.json"
    with locked(directory / "lock"):
        server = RabbitMQ.at(note) if note.exists() else RabbitMQ.start(directory)
        server.note(note, users=server.users + 1)
    try:
        yield server
    finally:
        with locked(directory / "lock"):
            server = RabbitMQ.at(note)
            server.note(note, users=server.users - 1)
            if server.users == 0:
                note.unlink()
                server.end()


@contextmanager
def locked(path: Path) -> Generator[None]:
    """One process at a time."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Link:
    """Carries bytes between a consumer and the broker, until it is cut; nothing listens then."""

    def __init__(self, broker: int) -> None:
        self.broker = broker
        self.port = free_port()
        self.listener: socket.socket | None = None
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        self.threads: list[threading.Thread] = []
        self.lock = threading.Lock()

    def join(self) -> None:
        """Listens and carries."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self.listener = listener
        self._spawn(self._accept, listener)

    def cut(self) -> None:
        """Closes every connection, and the port."""
        listener, self.listener = self.listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for end in (end for pair in pairs for end in pair):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        self.threads = []

    def _spawn(self, work: Any, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)
        self.threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while self.listener is listener:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.broker))
            with self.lock:
                self.pairs.append((near, far))
            self._spawn(self._carry, near, far)

    @staticmethod
    def _carry(near: socket.socket, far: socket.socket) -> None:
        with near, far, selectors.DefaultSelector() as selector:
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            while True:
                for key, _ in selector.select():
                    source = key.fileobj
                    assert isinstance(source, socket.socket)
                    with contextlib.suppress(OSError):
                        if data := source.recv(65536):
                            key.data.sendall(data)
                            continue
                    return

    def __enter__(self) -> Self:
        self.join()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cut()
