"""Whom the contract tests talk to: this Hurricane, or the original Django-Hurricane."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import wire
from condition import wait_until
from serving import START_SECONDS, Server, as_settings, environment, free_port

PROJECT = Path(__file__).resolve().parent / "project"
# Servers that tests only read from are kept for the next test that wants the same.
SHARED_MAX = 4


class Target(Server):
    """``manage.py serve`` of the project that the tests share, started as its users start it."""

    # How long a test waits for what shall be; rows that the original fails would take for ever.
    patience = 15.0

    def __init__(
        self,
        python: str,
        directory: Path,
        flags: Sequence[str],
        env: Mapping[str, str],
        command: str = "serve",
    ) -> None:
        """Starts it. It is told two free ports on its command line unless ``flags`` name ports."""
        self.signals = directory
        self.port = free_port()
        self.probe_port = free_port()
        self.stderr = directory / "stderr"
        self.connections: list[wire.Connection] = []
        signals = {"STAGE_SIGNALS": str(directory), "STAGE_DATABASE": str(directory / "db")}
        with self.stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [python, "-u", "manage.py", command, *flags],
                cwd=PROJECT,
                env=environment({**signals, **env}),
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Waits for a condition as long as this server is to be waited for; it must not end."""

        def holds() -> bool:
            code = self.process.poll()
            assert code is None, f"the server ended with {code}:\n{self.log()}"
            return bool(condition())

        wait_until(holds, self.patience, what)

    def wait_for_start(self, deadline: float | None = None) -> None:
        """As every server, but as long as this one is to be waited for."""
        super().wait_for_start(deadline or self.patience)

    def wait_for_port(self, port: int) -> None:
        """Waits until somebody accepts there."""
        self.until(lambda: listens(port), f"port {port}")

    def answer(self, path: str) -> wire.Response | None:
        """What a probe says now, if it says anything."""
        try:
            return self.probe(path).response
        except (OSError, wire.Closed):
            return None

    def wait_for_status(self, path: str, status: int) -> wire.Response:
        """Waits until a probe answers so."""
        found: list[wire.Response] = []

        def answered() -> bool:
            response = self.answer(path)
            found[:] = [response] if response is not None else []
            return response is not None and response.status == status

        self.until(answered, f"{path} to answer {status}")
        return found[0]

    def wait_for_text(self, text: str) -> str:
        """Waits until a line of the log has this text; returns the first."""
        wait_until(lambda: self.lines_with(text), self.patience, text)
        return self.lines_with(text)[0]

    def exchange(self, data: bytes) -> bytes:
        """Sends these bytes; everything that comes back until the server closes or is silent."""
        with wire.Connection(self.port, timeout=min(self.patience, 5.0)) as connection:
            connection.send(data)
            try:
                return connection.rest()
            except TimeoutError:
                return connection.buffer

    def refused(self, data: bytes) -> int:
        """The status code that answers these bytes, before the server closes the connection."""
        with wire.Connection(self.port, timeout=min(self.patience, 5.0)) as connection:
            connection.send(data)
            response = connection.response()
            connection.rest()
            return response.status

    def unanswered(self, data: bytes) -> bool:
        """Whether the server closes the connection without a word on these bytes."""
        with wire.Connection(self.port, timeout=self.patience) as connection:
            try:
                connection.send(data)
                return connection.rest() == b""
            except ConnectionError:
                return True


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a connection to that port can be made."""
    try:
        wire.Connection(port, host=host).close()
    except OSError:
        return False
    return True


@dataclass
class Contract:
    """Starts servers of one kind, and remembers those that tests share."""

    python: str = sys.executable
    original: bool = False
    # This Hurricane, always as it was.
    before: bool = False
    shared: dict[str, Target] = field(default_factory=dict)
    helps: dict[str, str] = field(default_factory=dict)

    def launch(
        self,
        flags: Sequence[str],
        env: Mapping[str, str],
        settings: Mapping[str, object],
        *,
        legacy: bool,
        command: str = "serve",
    ) -> Target:
        """A new server; ``legacy`` says nothing to the original, which cannot be otherwise."""
        directory = Path(tempfile.mkdtemp(prefix="hurricane-contract-"))
        wanted = {"TMPDIR": str(directory), **self.surroundings(legacy=legacy)}
        if settings:
            wanted |= as_settings(**settings)
        target = Target(self.python, directory, flags, {**wanted, **env}, command)
        if self.original or self.before:
            target.patience = 5.0
        return target

    def surroundings(self, *, legacy: bool) -> dict[str, str]:
        """Variables that only make tests quick and quiet."""
        if self.original:
            # What it depends on warns.
            return {"PYTHONWARNINGS": "ignore"}
        ours = {"HURRICANE_HOST": "127.0.0.1", "HURRICANE_CHECK_INTERVAL": "0.2"}
        return {**ours, "HURRICANE_COMPAT": "1.6"} if legacy else ours

    def share(self, key: str, make: Callable[[], Target]) -> Target:
        """The server of that key, made when there is none; the oldest make way for new ones."""
        found = self.shared.pop(key, None)
        if found is None or found.process.poll() is not None:
            while len(self.shared) >= SHARED_MAX:
                dismiss(self.shared.pop(next(iter(self.shared))))
            found = make()
        self.shared[key] = found
        return found

    def end(self) -> None:
        """Ends those that were shared."""
        for target in self.shared.values():
            dismiss(target)

    def offers(self, command: str, flag: str) -> bool:
        """Whether the help of a command names a flag."""
        if command not in self.helps:
            self.helps[command] = self.run("manage.py", command, "--help").out
        offered = self.helps[command]
        return f"{flag} " in offered or f"{flag}]" in offered

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> "Ended":
        """Runs its Python with these words, in the project, to the end."""
        ours = {"HURRICANE_COMPAT": "1.6"} if self.before else {}
        warnings = {"PYTHONWARNINGS": "ignore"} if self.original else ours
        done = subprocess.run(
            [self.python, *words],
            cwd=PROJECT,
            env=environment({**warnings, **(env or {})}),
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)


@dataclass
class Ended:
    """What a program that has ended leaves."""

    code: int
    out: str
    err: str


def dismiss(target: Target) -> None:
    """Ends a server and removes what it has left."""
    target.end()
    shutil.rmtree(target.signals, ignore_errors=True)


class Serve:
    """Starts servers for one test. ``legacy``: with ``--compat 1.6`` where there is such a flag."""

    def __init__(self, contract: Contract, *, legacy: bool) -> None:
        self.contract = contract
        self.original = contract.original
        self.legacy = legacy
        self.own: list[Target] = []

    def __call__(
        self,
        *flags: str,
        env: Mapping[str, str] | None = None,
        settings: Mapping[str, object] | None = None,
        places: bool = True,
        wait: bool = True,
    ) -> Target:
        """A server of its own for the test, which has started unless ``wait`` is false."""
        target = self.launch(flags, env or {}, settings or {}, places=places)
        self.own.append(target)
        if wait:
            target.wait_for_start()
        return target

    def shared(
        self,
        *flags: str,
        env: Mapping[str, str] | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> Target:
        """A server that other tests talk to as well; it has started and is ready."""

        def make() -> Target:
            target = self.launch(flags, env or {}, settings or {}, places=True)
            target.wait_for_start()
            target.wait_for_ready()
            return target

        key = repr((flags, sorted((env or {}).items()), settings, self.legacy))
        return self.contract.share(key, make)

    def launch(
        self,
        flags: Sequence[str],
        env: Mapping[str, str],
        settings: Mapping[str, object],
        *,
        places: bool,
    ) -> Target:
        """A server, told two free ports on its command line if it is to be placed."""
        ports = (free_port(), free_port())
        words = ["--port", str(ports[0]), "--probe-port", str(ports[1])] if places else []
        target = self.contract.launch([*words, *flags], env, settings, legacy=self.legacy)
        target.port, target.probe_port = ports
        return target

    def end(self) -> None:
        """Ends what the test had for itself."""
        for target in self.own:
            dismiss(target)
