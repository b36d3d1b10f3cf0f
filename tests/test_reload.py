"""SIGHUP: freshly loaded code takes over worker by worker, or the old serves on."""

import os
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

import wire
from condition import wait_until
from conftest import Starter
from hurricane import again
from receiver import HANG, Receiver
from serving import PROJECT, Server, run
from wire import Connection

TWO = ("--workers", "2", "--req-queue-len", "1000")
# Files that change within a second have the same time for the cache of bytecode.
FRESH = {"PYTHONDONTWRITEBYTECODE": "1"}
# A callable whose answers name its version, and which does at each of its loads what a test has
# told it to by a file: fail, hang, or end the process.
SOURCE = """
import os, pathlib, sys, time
signals = pathlib.Path(os.environ["STAGE_SIGNALS"])
with (signals / "loads").open("a") as loads:
    loads.write(f"{os.getpid()}\\n")
load = len((signals / "loads").read_text().splitlines())
if (signals / f"fail-{load}").exists():
    raise RuntimeError(f"load {load} was told to fail")
while (signals / f"hang-{load}").exists():
    time.sleep(0.01)
VERSION = "version"

def application(environ, start_response):
    headers = [("Content-Type", "text/plain"), ("Worker-Pid", str(os.getpid()))]
    start_response("200 OK", headers)
    return [VERSION.encode()]
"""


class Versions:
    """A directory with a WSGI callable that a test changes."""

    def __init__(self, directory: Path, start: Starter) -> None:
        self.directory = directory
        self.start = start
        self.write("first")

    def write(self, version: str, broken: str = "") -> None:
        """The code of the next load; ``broken`` is put in front of it."""
        source = broken + SOURCE.replace('"version"', repr(version))
        (self.directory / "versions.py").write_text(source)

    def serve(self, *flags: str, env: dict[str, str] | None = None) -> Server:
        """Starts a server that serves it."""
        application = "versions:application"
        env = {**FRESH, **(env or {})}
        return self.start(*flags, application=application, project=self.directory, env=env)


@pytest.fixture
def versions(tmp_path: Path, start_once: Starter) -> Versions:
    """Code to be changed under a running server."""
    return Versions(tmp_path, start_once)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the Django project, to be changed."""
    copy = tmp_path / "project"
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def reload(server: Server) -> None:
    """Asks for it."""
    server.process.send_signal(signal.SIGHUP)


def reloads(server: Server, count: int, deadline: float = 20) -> None:
    """Waits until so many reloads are done."""
    wait_until(lambda: server.status()["reloads"] == count, deadline, f"{count} reloads")


def refused(server: Server, count: int, deadline: float = 20) -> str:
    """Waits until so many reloads were refused; returns the line that says why."""
    wait_until(lambda: server.status()["reloads_failed"] == count, deadline, f"{count} refusals")
    # It is counted before it is told.
    told = "cannot be loaded"
    return wait_until(lambda: server.lines_with(told)[count - 1 :], deadline, "the reason")[-1]


def serves(server: Server, text: str) -> None:
    """Waits until every answer is of that version."""
    wait_until(lambda: {server.get("/").text for _ in range(5)} == {text}, 20, text)


def gone(server: Server, workers: Iterable[int]) -> None:
    """Waits until these have ended: a worker that leaves may still take a connection."""
    wait_until(lambda: not set(workers) & set(server.family()), 20, "old workers to end")


def descriptors(server: Server) -> int:
    """How many the supervisor has open."""
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


class Load(threading.Thread):
    """Asks a probe, on a new connection, and on one that it keeps as long as it may, in turn."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.over = threading.Event()
        self.answers: list[str] = []
        self.errors: list[str] = []

    def run(self) -> None:
        kept: Connection | None = None
        # Left to itself it would take the CPUs from those who start.
        while not self.over.wait(0.005):
            try:
                assert self.server.probe("/ready").response.status == 200
                self.answers.append(self.server.get("/").text)
                kept = kept or self.server.connect()
                response = kept.get("/")
                self.answers.append(response.text)
                if response.header("Connection") == "close":
                    assert kept.is_closed_by_peer()
                    kept = None
            except (OSError, wire.Closed, AssertionError) as error:
                self.errors.append(repr(error))
                kept = None

    def end(self) -> None:
        """Stops asking."""
        self.over.set()
        self.join(20)


def test_new_code_is_served_by_new_workers_of_the_same_server(
    tmp_path: Path, start: Starter
) -> None:
    versions = Versions(tmp_path, start)
    server = versions.serve(*TWO)
    old = server.workers()
    versions.write("second")
    reload(server)
    reloads(server, 1)
    gone(server, old)
    assert {server.get("/").text for _ in range(20)} == {"second"}
    assert not set(old) & set(server.workers())
    assert server.process.poll() is None
    loads = [int(pid) for pid in server.lines("loads")]
    assert (loads[0], loads[2]) == (server.process.pid, server.process.pid)
    assert loads[1] not in (server.process.pid, *old)
    assert len(server.family()) == 4


def test_twenty_reloads_under_load_lose_nothing_and_leave_nothing(versions: Versions) -> None:
    server = versions.serve(*TWO, "--check-interval", "60")
    server.wait_for_ready()
    load = Load(server)
    load.start()
    seen = set(server.workers())
    versions.write("version 1")
    reload(server)
    reloads(server, 1)
    gone(server, seen)
    open_at_first = descriptors(server)
    for count in range(2, 21):
        seen |= set(server.workers())
        versions.write(f"version {count}")
        reload(server)
        reloads(server, count, 30)
        gone(server, seen)
        assert server.get("/").text == f"version {count}"
    seen |= set(server.workers())
    load.end()
    assert load.errors == []
    # Two workers, and two for each reload.
    assert len(seen) == 42
    assert set(load.answers) == {"first", *(f"version {count}" for count in range(1, 21))}
    wait_until(lambda: descriptors(server) == open_at_first, 10, "as many descriptors as before")
    assert server.status()["restarts"] == 0
    server.terminate()
    assert server.wait() == 0


@pytest.mark.parametrize(
    ("broken", "cause"),
    [
        ("def (:\n", "SyntaxError"),
        ("import absent_module\n", "No module named 'absent_module'"),
        ("import os\nos._exit(7)\n", "its trial ended (exited with code 7)"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", "killed by SIGKILL"),
    ],
    ids=["syntax", "import", "exit", "kill"],
)
def test_broken_code_changes_nothing_and_the_log_says_why(
    versions: Versions, broken: str, cause: str
) -> None:
    server = versions.serve(*TWO)
    workers = server.workers()
    versions.write("second", broken)
    reload(server)
    assert cause in refused(server, 1)
    assert server.workers() == workers
    assert server.get("/").text == "first"
    versions.write("third")
    reload(server)
    reloads(server, 1)
    serves(server, "third")


def test_code_that_does_not_load_in_time_is_refused(versions: Versions) -> None:
    server = versions.serve("--reload-timeout", "1s")
    server.put("hang-2")
    reload(server)
    assert "it had not loaded within 1s" in refused(server, 1)
    assert server.get("/").text == "first"
    wait_until(lambda: len(server.family()) == 3, 10, "the trial to end")


def test_a_thread_of_the_project_does_not_hold_a_reload(versions: Versions) -> None:
    server = versions.serve()
    waits = "import threading\nthreading.Thread(target=threading.Event().wait).start()\n"
    versions.write("second", waits)
    reload(server)
    reloads(server, 1)
    serves(server, "second")


def test_django_is_loaded_whole_and_its_failing_checks_refuse(
    project: Path, start_once: Starter
) -> None:
    server = start_once(*TWO, "--command", "errand one", project=project, env=FRESH)
    server.wait_for_ready()
    views, checks, settings = (
        project / "stage" / name for name in ("views.py", "checks.py", "settings.py")
    )
    views.write_text(views.read_text().replace('HttpResponse("hello"', 'HttpResponse("new"'))
    server.put("start-fails")
    reload(server)
    assert "(stage.E001) told to fail" in refused(server, 1)
    assert server.get("/").text == "hello"

    server.remove("start-fails")
    checks.write_text(
        checks.read_text()
        + '\n@register("readiness", deploy=True)\ndef added(**_kwargs: Any) -> list[CheckMessage]:'
        '\n    return told("added")\n'
    )
    settings.write_text(settings.read_text() + "HURRICANE_THREADS = 7\nHURRICANE_PORT = 1\n")
    reload(server)
    reloads(server, 1)
    serves(server, "new")
    status = server.status()
    assert "stage.checks.added" in {check["name"] for check in status["checks"]}
    assert {worker["capacity"] for worker in status["workers"]} == {7}
    server.put("added-fails")
    wait_until(lambda: "told to fail" in server.probe("/ready").response.text, 10)
    server.remove("added-fails")
    server.wait_for_ready()
    # What was prepared before the start is not prepared again.
    assert server.lines("errands") == ["one"]


def test_webhooks_that_wait_are_sent_by_the_next_process_and_no_probe_waits_for_them(
    versions: Versions,
) -> None:
    with Receiver(HANG) as receiver:
        server = versions.serve("--webhook-url", receiver.url)
        receiver.wait_for(1)
        reload(server)
        reloads(server, 1)
        told = receiver.wait_for(4)
        assert told[0] == ("startup", "succeeded")
        assert {kind for kind, _ in told[1:]} == {"startup", "liveness", "readiness"}
        assert not server.lines_with("webhooks were not sent before the end")
        wait_until(lambda: server.status()["webhooks"]["waiting"] == 0, 10)
        reload(server)
        reloads(server, 2)
        assert receiver.told() == told


def test_flags_change_with_a_reload_but_not_where_the_server_listens(
    project: Path, start_once: Starter
) -> None:
    server = start_once(project=project, env=FRESH)
    manage = project / "manage.py"
    source = manage.read_text()
    for count in (2, 1):
        typed = (
            f"sys.argv += ['--workers', '{count}', '--port', '1', '--liveness-probe', '/w{count}']"
        )
        manage.write_text(source.replace("import sys\n", f"import sys\n{typed}\n"))
        reload(server)
        wait_until(lambda: len(server.workers()) == count, 20, f"{count} workers")  # noqa: B023
        reloads(server, 3 - count)
        assert server.probe(f"/w{count}").response.status == 200
        assert {server.get("/").text for _ in range(20)} == {"hello"}
        assert "does not change where the server listens" in server.log()
    settings = project / "stage" / "settings.py"
    settings.write_text(settings.read_text() + "raise RuntimeError('on purpose')\n")
    reload(server)
    assert "RuntimeError: on purpose" in refused(server, 1)


def test_a_signal_to_stop_ends_cleanly_wherever_a_reload_is(versions: Versions) -> None:
    for load in (2, 3):
        server = versions.serve(*TWO)
        server.put(f"hang-{load}")
        reload(server)
        server.wait_for_lines("loads", load)
        assert server.get("/").text == "first"
        server.terminate()
        assert server.wait() == 0
        wait_until(lambda: server.family() == [], 5, "every process to end")  # noqa: B023


def test_a_signal_to_stop_is_heard_while_django_is_loaded_again(
    project: Path, start_once: Starter
) -> None:
    wsgi = project / "stage" / "wsgi.py"
    hangs = """
import time
signals = Path(os.environ["STAGE_SIGNALS"])
load = len((signals / "built").read_text().splitlines())
while (signals / f"hang-{load}").exists():
    time.sleep(0.01)
"""
    wsgi.write_text(wsgi.read_text() + hangs)
    server = start_once(*TWO, "--drain-delay", "0.5s", project=project, env=FRESH)
    server.put("hang-3")
    reload(server)
    server.wait_for_lines("built", 3)
    server.terminate()
    assert server.get("/").text == "hello"
    assert server.wait() == 0
    assert server.lines_with("no longer accepting")
    assert server.family() == []


def test_a_killed_supervisor_leaves_no_orphan_after_a_reload(versions: Versions) -> None:
    server = versions.serve(*TWO)
    reload(server)
    reloads(server, 1)
    server.process.kill()
    wait_until(lambda: server.family() == [], 10, "every process to end")


def test_a_killed_supervisor_leaves_no_orphan_while_it_loads(versions: Versions) -> None:
    server = versions.serve(*TWO)
    server.put("hang-3")
    reload(server)
    server.wait_for_lines("loads", 3)
    server.process.kill()
    wait_until(lambda: server.family() == [], 10, "every process to end")


@pytest.mark.parametrize("how", ["fail", "hang"])
def test_code_that_fails_after_its_trial_costs_no_worker_and_is_tried_again(
    versions: Versions, how: str
) -> None:
    server = versions.serve(*TWO, "--reload-timeout", "2s")
    workers = server.workers()
    server.put(f"{how}-3")
    versions.write("second")
    reload(server)
    line = refused(server, 1)
    told = {"fail": "load 3 was told to fail", "hang": "it had not loaded within 2s"}
    assert told[how] in line
    assert server.get("/").text == "first"
    assert server.workers() == workers
    reloads(server, 1)
    serves(server, "second")
    assert len(server.lines("loads")) == 5
    server.terminate()
    assert server.wait() == 0


def test_without_code_and_a_worker_the_server_stops_and_says_so(versions: Versions) -> None:
    log = versions.directory / "termination-log"
    server = versions.serve(*TWO, "--reload-timeout", "10s", "--termination-log", str(log))
    for load in range(3, 30):
        server.put(f"fail-{load}")
    reload(server)
    refused(server, 1)
    os.kill(server.workers()[0], signal.SIGKILL)
    assert server.wait(20) == 1
    assert server.lines_with("a process is missing and cannot be replaced")
    assert "was told to fail" in log.read_text()
    assert server.family() == []


def test_a_worker_that_dies_while_code_is_loaded_is_replaced_by_the_new(
    versions: Versions,
) -> None:
    server = versions.serve(*TWO)
    server.put("hang-3")
    versions.write("second")
    reload(server)
    server.wait_for_lines("loads", 3)
    os.kill(server.workers()[0], signal.SIGKILL)
    server.remove("hang-3")
    reloads(server, 1)
    serves(server, "second")


def test_reloads_that_are_asked_for_meanwhile_are_one_more(versions: Versions) -> None:
    server = versions.serve(*TWO)
    server.put("hang-2")
    reload(server)
    server.wait_for_lines("loads", 2)
    versions.write("second")
    reload(server)
    wait_until(lambda: server.lines_with("after_this_one=true"), 10)
    reload(server)
    server.remove("hang-2")
    reloads(server, 2)
    serves(server, "second")
    assert len(server.lines("loads")) == 5


def test_a_server_that_stops_does_not_reload(versions: Versions) -> None:
    server = versions.serve("--drain-delay", "1s")
    server.terminate()
    wait_until(lambda: server.lines_with("still accepting"), 10)
    reload(server)
    assert server.wait() == 0
    assert server.lines_with("ignored: the server is stopping")
    assert len(server.lines("loads")) == 1


def test_a_link_to_the_next_release_is_followed(tmp_path: Path, start_once: Starter) -> None:
    releases = [tmp_path / name for name in ("release-1", "release-2")]
    for release in releases:
        release.mkdir()
        Versions(release, start_once).write(release.name)
    link = tmp_path / "current"
    link.symlink_to(releases[0])
    versions = Versions(link, start_once)
    versions.write("release-1")
    # What a shell says of the directory that it is in.
    server = versions.serve(env={"PWD": str(link)})
    link.unlink()
    link.symlink_to(releases[1])
    reload(server)
    reloads(server, 1)
    serves(server, "release-2")


def test_what_the_application_leaves_open_does_not_add_up(versions: Versions) -> None:
    leaves_open = "import os\nos.set_inheritable(os.open('/dev/null', os.O_RDONLY), True)\n"
    versions.write("first", leaves_open)
    server = versions.serve()
    open_at_first = descriptors(server)
    for count in range(1, 4):
        old = server.workers()
        reload(server)
        reloads(server, count)
        gone(server, old)
    # The supervisor hears of the end of a worker a moment after it.
    wait_until(lambda: descriptors(server) == open_at_first, 10, "as many descriptors as before")


def test_what_the_application_has_set_does_not_decide_what_is_loaded(versions: Versions) -> None:
    remembers = (
        "import os\n"
        "os.environ.setdefault('REMEMBERED', '{0}')\n"
        "assert os.environ['REMEMBERED'] == '{0}'\n"
        "os.chdir('/')\n"
    )
    versions.write("first", remembers.format("first"))
    server = versions.serve()
    versions.write("second", remembers.format("second"))
    reload(server)
    reloads(server, 1)
    serves(server, "second")


@pytest.mark.parametrize(
    ("words", "options", "program"),
    [
        ("manage.py serve -u", "", "manage.py serve -u"),
        ("-u -W error -Xdev -X utf8 manage.py", "-u -W error -Xdev -X utf8", "manage.py"),
        ("-um hurricane serve -c", "-u", "-m hurricane serve -c"),
        ("-mhurricane serve", "", "-m hurricane serve"),
        ("-Wc --check-hash-based-pycs always -Ic pass a", "-Wc --check-hash-based-pycs always -I",
         "-c pass a"),
    ],
)  # fmt: skip
def test_the_interpreters_options_are_told_from_the_program(
    words: str, options: str, program: str
) -> None:
    assert again.split(words.split()) == (options.split(), program.split())


@pytest.mark.parametrize("program", ["shown.py 1", "-m shown 1", "-c 'import shown' 1"])
def test_a_program_finds_what_the_interpreter_would_show_it(tmp_path: Path, program: str) -> None:
    (tmp_path / "shown.py").write_text(
        "import sys\n"
        "print(__name__, __file__, sys.argv, sys.path[0], sys.modules['__main__'].__name__)\n"
    )
    words = shlex.split(program)
    plain = run([sys.executable, *words], cwd=tmp_path)
    runs = f"import sys; sys.path.pop(0); from hurricane.again import run; run({words!r})"
    assert run([sys.executable, "-c", runs], cwd=tmp_path).stdout == plain.stdout != ""
