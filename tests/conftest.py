"""Fixtures: servers on io_uring and on epoll, and Django's settings for the unit tests."""

import os
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import pytest

from cgroup import CpuGroup, MemoryGroup
from refuse_ring import ring_is_refused
from serving import PROJECT, Server

sys.path.insert(0, str(PROJECT))
os.environ["DJANGO_SETTINGS_MODULE"] = "stage.settings"

ENGINES = ("io-uring", "epoll")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run what takes half a minute")
    parser.addoption("--soak", type=float, metavar="MINUTES", help="also run the soak for so long")
    parser.addoption(
        "--original",
        metavar="PYTHON",
        help="hold tests/contract against Django-Hurricane 1.6.2, installed for this interpreter",
    )
    parser.addoption(
        "--as-before",
        action="store_true",
        help="hold all of tests/contract against this Hurricane with --compat 1.6",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for marker in ("slow", "soak"):
        if not config.getoption(f"--{marker}"):
            left_out = [item for item in items if item.get_closest_marker(marker)]
            items[:] = [item for item in items if item not in left_out]
            config.hook.pytest_deselected(items=left_out)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for value in item.funcargs.values():
            servers = value.servers if isinstance(value, Starter) else [value]
            report.sections += [
                ("what the server wrote", server.log()[-8000:])
                for server in servers
                if isinstance(server, Server)
            ]
    return report


class Starter:
    """Starts servers and ends them."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.servers: list[Server] = []
        self.directories: list[tempfile.TemporaryDirectory[str]] = []

    def __call__(
        self,
        *flags: str,
        env: Mapping[str, str] | None = None,
        engine: str | None = None,
        application: str | None = None,
        prefix: Sequence[str] = (),
        project: Path = PROJECT,
        pass_fds: Sequence[int] = (),
        wait: bool = True,
    ) -> Server:
        """Starts a server with these flags; waits until it has started."""
        self.directories.append(tempfile.TemporaryDirectory(prefix="hurricane-test-"))
        directory = Path(self.directories[-1].name)
        engine = engine or self.engine
        server = Server(directory, flags, env or {}, engine, application, prefix, project, pass_fds)
        self.servers.append(server)
        if wait:
            server.wait_for_start()
        return server

    def end(self) -> None:
        """Ends what was started. A worker that panics is replaced, which hides it from clients."""
        for server in self.servers:
            server.end()
        panics = [line for server in self.servers for line in server.lines_with("panicked")]
        for directory in self.directories:
            directory.cleanup()
        assert panics == []


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """How the workers talk to the kernel; epoll because a seccomp filter refuses io_uring."""
    name: str = request.param
    if name == "io-uring" and ring_is_refused():
        pytest.skip("this host refuses io_uring")
    return name


@pytest.fixture
def start(engine: str) -> Generator[Starter]:
    """Starts servers for one test, on each engine."""
    starter = Starter(engine)
    yield starter
    starter.end()


@pytest.fixture
def start_once() -> Generator[Starter]:
    """Starts servers for one test that does not depend on the engine."""
    starter = Starter("any")
    yield starter
    starter.end()


@pytest.fixture
def half_a_cpu() -> Generator[CpuGroup]:
    """A real cgroup with half a CPU, where we may make one."""
    try:
        group = CpuGroup(0.5)
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    yield group
    group.remove()


@pytest.fixture
def gibibyte() -> Generator[MemoryGroup]:
    """A real cgroup with so much memory, where we may make one."""
    try:
        group = MemoryGroup(1024)
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    yield group
    group.remove()


@pytest.fixture(scope="module")
def server(engine: str) -> Generator[Server]:
    """The Django project with two workers, shared by a module's tests on each engine."""
    starter = Starter(engine)
    try:
        yield starter("--workers", "2", "--max-body-size", "2g", "--req-queue-len", "1000")
    finally:
        starter.end()


@pytest.fixture(scope="module")
def wsgi(engine: str) -> Generator[Server]:
    """The bare WSGI applications, each under its own name as first segment of the path."""
    starter = Starter(engine)
    try:
        yield starter(application="wsgi_apps:dispatch")
    finally:
        starter.end()
