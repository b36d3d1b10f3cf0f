"""``--autoreload``: what is saved is served, what is broken is shown, the terminal stays usable."""

import fcntl
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest

from condition import wait_until
from conftest import Starter
from serving import PROJECT, TESTS, Server, as_settings, environment, free_port
from wire import get

LOADED = "Autoreload was performed"
WAITING = "waiting for a change of the project's files"


class Developer:
    """Somebody with a copy of the project, an editor, and a server that reloads."""

    def __init__(self, directory: Path, start: Starter) -> None:
        self.project = directory / "project"
        shutil.copytree(PROJECT, self.project, ignore=shutil.ignore_patterns("__pycache__"))
        self.views = self.project / "stage" / "views.py"
        self.settings = self.project / "stage" / "settings.py"
        self.start = start
        self.said = "hello"

    def serve(self, *flags: str, wait: bool = True, **more: object) -> Server:
        """Starts the server."""
        return self.start("--autoreload", *flags, project=self.project, wait=wait, **more)  # type: ignore[arg-type]

    def save(self, path: Path, text: str) -> None:
        """As careful editors do: the new file takes the place of the old."""
        beside = path.with_suffix(".part")
        beside.write_text(text)
        beside.replace(path)

    def say(self, text: str, after: str = "") -> None:
        """Lets the view say something else; ``after`` ends the file."""
        former, self.said = self.said, text
        source = self.views.read_text().replace(f'Response("{former}"', f'Response("{text}"')
        self.save(self.views, source + after)


@pytest.fixture
def developer(tmp_path: Path, start_once: Starter) -> Developer:
    """Each test breaks the project in its own way."""
    return Developer(tmp_path, start_once)


def serves(server: Server, text: str) -> None:
    """Waits until the view says so."""

    def says() -> bool:
        try:
            return server.get("/").text == text
        except OSError:
            return False

    wait_until(says, 20, f"{text!r} to be served")


def loaded(server: Server, count: int) -> None:
    """Waits until code was loaded so often, at the start and later."""
    wait_until(lambda: len(server.lines_with(LOADED)) == count, 20, f"{count} loads")


def test_what_is_saved_is_served_by_the_same_server_and_nothing_is_lost(
    developer: Developer,
) -> None:
    server = developer.serve("--workers", "2")
    loaded(server, 1)
    old = server.workers()
    held = threading.Thread(target=lambda: answers.append(server.get("/hold/gate").text))
    answers: list[str] = []
    held.start()
    server.wait_for_lines("gate-entered", 1)
    idle = server.connect()
    assert idle.get("/").text == "hello"

    developer.say("saved")
    loaded(server, 2)
    # A worker that leaves may still take what came before it heard of that.
    wait_until(lambda: {server.get("/").text for _ in range(10)} == {"saved"}, 10, "the new code")
    # A browser would get the old answer once more on it.
    assert idle.is_closed_by_peer()
    assert answers == []
    server.put("gate-open")
    held.join(20)
    assert answers == ["released"]
    assert server.process.poll() is None
    assert server.lines_with("files have changed")[0].count("views.py") == 1
    wait_until(lambda: not set(old) & set(server.family()), 20, "old workers to end")
    # As long as the former, and within the same second: the cache of bytecode would not see it.
    developer.say("moved")
    serves(server, "moved")
    developer.say("fixed")
    serves(server, "fixed")
    server.terminate()
    assert server.wait() == 0


def test_broken_code_is_shown_and_the_old_serves_until_it_is_mended(developer: Developer) -> None:
    server = developer.serve()
    developer.say("broken", after="def (:\n")
    wait_until(lambda: server.lines_with("the next change is waited for"), 20, "the refusal")
    log = server.log()
    assert "Traceback (most recent call last)" in log
    assert "views.py" in log.split("SyntaxError: ")[0].splitlines()[-3]
    assert server.get("/").text == "hello"
    assert server.probe("/ready").response.status == 200

    developer.say("mended")
    developer.save(developer.views, developer.views.read_text().replace("def (:\n", ""))
    serves(server, "mended")

    good = developer.settings.read_text()
    developer.save(developer.settings, good + "raise RuntimeError('bad setting')\n")
    refusals = "the next change is waited for"
    wait_until(lambda: len(server.lines_with(refusals)) >= 2, 20, "the second refusal")
    assert "RuntimeError: bad setting" in server.lines_with(refusals)[-1]
    # A worker that ends meanwhile is missed, but the server does not give up.
    os.kill(server.workers()[0], signal.SIGKILL)
    developer.save(developer.settings, good + "HURRICANE_THREADS = 7\n")
    wait_until(
        lambda: {worker["capacity"] for worker in server.status()["workers"]} == {7}, 20, "threads"
    )
    serves(server, "mended")
    assert server.process.poll() is None


@pytest.mark.parametrize("file", ["stage/urls.py", "stage/wsgi.py"])
def test_a_first_start_that_fails_is_tried_again_when_something_has_changed(
    developer: Developer, file: str
) -> None:
    broken = developer.project / file
    good = broken.read_text()
    broken.write_text(good + "import absent_module\n")
    server = developer.serve(wait=False)
    wait_until(lambda: WAITING in server.log(), 20, "the failure to be shown")
    assert "No module named 'absent_module'" in server.log()
    assert "Traceback (most recent call last)" in server.log()
    developer.save(broken, good)
    server.wait_for_start()
    assert server.get("/").text == "hello"
    developer.say("later")
    serves(server, "later")


def test_nothing_that_is_wrong_before_the_command_ends_the_program(developer: Developer) -> None:
    apps, settings = developer.project / "stage" / "apps.py", developer.settings
    good, good_settings = apps.read_text(), settings.read_text()
    apps.write_text(good + "import absent_module\n")
    server = developer.serve(wait=False)
    wait_until(lambda: WAITING in server.log(), 20, "the first failure")
    developer.save(settings, good_settings + "import absent_too\n")
    wait_until(lambda: server.log().count(WAITING) == 2, 20, "the failure of the settings")
    developer.save(apps, good)
    wait_until(lambda: server.log().count(WAITING) == 3, 20, "the same failure")
    developer.save(settings, good_settings)
    server.wait_for_start()
    assert server.get("/").text == "hello"


def test_what_comes_before_the_start_is_tried_again_too(developer: Developer) -> None:
    server = developer.serve("--command", "errand raise", wait=False)
    wait_until(lambda: WAITING in server.log(), 20, "the failure to be shown")
    errand = next(developer.project.glob("**/commands/errand.py"))
    mended = "    def handle(self, **_options):\n        return\n\n    def unused("
    developer.save(errand, errand.read_text().replace("    def handle(", mended))
    server.wait_for_start()
    assert server.get("/").text == "hello"


def test_a_wrong_flag_or_a_port_in_use_is_not_waited_for(
    developer: Developer, tmp_path: Path
) -> None:
    server = developer.serve("--threads", "none", wait=False)
    assert server.wait(20) == 2
    first = developer.serve()
    second = developer.serve("--port", str(first.port), wait=False)
    assert second.wait(20) == 1
    assert WAITING not in server.log() + second.log()


def test_templates_are_served_as_they_were_saved(developer: Developer) -> None:
    templates = developer.project / "stage" / "templates"
    templates.mkdir()
    page = templates / "page.html"
    page.write_text("first")
    urls = developer.project / "stage" / "urls.py"
    added = (
        "from django.views.generic import TemplateView\n"
        "urlpatterns.append(path('page', TemplateView.as_view(template_name='page.html')))\n"
    )
    urls.write_text(urls.read_text() + added)
    backend = {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}
    server = developer.serve(env=as_settings(TEMPLATES=[backend]))
    loaded(server, 1)
    assert server.get("/page").text == "first"
    developer.save(page, "second")
    wait_until(lambda: server.get("/page").text == "second", 20, "the template")


def test_without_inotify_files_are_compared(developer: Developer) -> None:
    prefix = [sys.executable, str(TESTS / "refuse_inotify.py")]
    server = developer.serve(prefix=prefix)
    loaded(server, 1)
    assert server.lines_with("files are compared every second")
    developer.say("polled")
    serves(server, "polled")


def test_static_files_are_collected_before_the_code_is_loaded(
    developer: Developer, tmp_path: Path
) -> None:
    source, collected, absent = (tmp_path / name for name in ("source", "collected", "absent"))
    source.mkdir()
    (source / "style.css").write_text("first")
    settings = as_settings(
        INSTALLED_APPS=["django.contrib.staticfiles", "hurricane", "stage", "errands"],
        STATIC_URL="/static/",
        STATIC_ROOT=str(collected),
        STATICFILES_DIRS=[str(source)],
    )
    watched = ["--static-watch", str(source), "--static-watch", str(absent)]
    server = developer.serve(*watched, "--command", "collectstatic --no-input", env=settings)
    loaded(server, 1)
    assert server.lines_with(f"Watching path {source}.")
    assert server.lines_with(f"Tried to watch {absent}, but it does not exist.")
    (collected / "stale.css").write_text("from a file that is gone")
    developer.save(source / "style.css", "second")
    loaded(server, 2)
    assert (collected / "style.css").read_text() == "second"
    assert not (collected / "stale.css").exists()
    log = server.log()
    told = ["Collecting static as static file changed", "static files are collected", LOADED]
    assert log.index(told[0]) < log.index(told[1]) < log.rindex(told[2])
    # While no application is loaded there is none that could collect them; it is made up for.
    developer.say("hello", after="def (:\n")
    wait_until(lambda: server.lines_with("the next change is waited for"), 20, "the refusal")
    developer.save(source / "style.css", "third")
    wait_until(lambda: len(server.lines_with("the next change is waited for")) == 2, 20)
    developer.save(developer.views, developer.views.read_text().replace("def (:\n", ""))
    wait_until(lambda: len(server.lines_with("static files are collected")) == 2, 20)
    assert (collected / "style.css").read_text() == "third"


def test_static_watch_alone_is_warned_of(developer: Developer, start_once: Starter) -> None:
    server = start_once("--static-watch", ".", project=developer.project)
    assert server.lines_with("--static-watch does nothing without --autoreload")
    developer.say("unseen")
    assert not server.lines_with("files have changed")


def test_nothing_is_loaded_by_itself_because_of_djangos_debug(
    developer: Developer, start_once: Starter
) -> None:
    server = start_once(project=developer.project, env=as_settings(DEBUG=True))
    assert not server.lines_with(LOADED)


class Terminal:
    """A server in the foreground of a terminal."""

    def __init__(self, project: Path, *flags: str) -> None:
        self.port = free_port()
        self.master, slave = pty.openpty()
        self.modes = termios.tcgetattr(slave)
        ours = ["--port", str(self.port), "--no-probe", "--workers", "1"]
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--autoreload", *ours, *flags],
            cwd=project,
            env=environment({"STAGE_SIGNALS": str(project)}),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        self.slave = slave
        self.text = ""
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        """Takes what is printed, so that nobody has to wait for it."""
        try:
            while piece := os.read(self.master, 65536):
                self.text += piece.decode(errors="replace")
        except OSError:
            return

    def press(self, keys: bytes) -> None:
        """Types."""
        os.write(self.master, keys)

    def says(self, text: str, count: int = 1) -> None:
        """Waits for it on the screen."""
        wait_until(lambda: self.text.count(text) >= count, 20, f"{text!r} in {self.text}")

    def foreground(self) -> int:
        """Whose keys are signals."""
        return os.tcgetpgrp(self.master)

    def end(self) -> None:
        """Closes it."""
        self.process.kill()
        self.process.wait(10)


CONTROL_C = b"\x03"


def test_the_terminal_is_the_servers_through_all_reloads_and_control_c_ends_it(
    developer: Developer,
) -> None:
    terminal = Terminal(developer.project)
    try:
        terminal.says(LOADED)
        developer.say("saved")
        terminal.says(LOADED, 2)
        assert get(terminal.port, "/").text == "saved"
        assert terminal.foreground() == terminal.process.pid
        developer.say("broken", after="def (:\n")
        terminal.says("the next change is waited for")
        assert terminal.foreground() == terminal.process.pid
        assert termios.tcgetattr(terminal.slave) == terminal.modes
        terminal.press(CONTROL_C)
        assert terminal.process.wait(10) == 0
    finally:
        terminal.end()


def test_control_c_ends_a_server_that_waits_for_its_first_good_code(developer: Developer) -> None:
    developer.say("broken", after="def (:\n")
    terminal = Terminal(developer.project)
    try:
        terminal.says(WAITING)
        assert terminal.foreground() == terminal.process.pid
        terminal.press(CONTROL_C)
        assert terminal.process.wait(10) == 0
        assert "Traceback" not in terminal.text.split(WAITING)[1]
    finally:
        terminal.end()


def test_modes_that_a_worker_has_changed_are_brought_back_when_it_is_killed_or_all_ends(
    developer: Developer,
) -> None:
    urls = developer.project / "stage" / "urls.py"
    added = (
        "import tty\n"
        "from django.http import HttpResponse\n"
        "def raw(request):\n"
        "    tty.setraw(0)\n"
        "    return HttpResponse(str(__import__('os').getpid()))\n"
        "urlpatterns.append(path('raw', raw))\n"
    )
    urls.write_text(urls.read_text() + added)
    terminal = Terminal(developer.project)
    try:
        terminal.says(LOADED)

        def are_back() -> bool:
            return bool(termios.tcgetattr(terminal.slave) == terminal.modes)

        worker = int(get(terminal.port, "/raw").text)
        assert not are_back()
        os.kill(worker, signal.SIGKILL)
        wait_until(are_back, 10, "the modes")
        wait_until(lambda: get(terminal.port, "/").status == 200, 10, "the next worker")
        get(terminal.port, "/raw")
        assert not are_back()
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(10) == 0
        assert are_back()
    finally:
        terminal.end()


def test_a_terminal_that_is_closed_ends_the_server(developer: Developer) -> None:
    terminal = Terminal(developer.project)
    try:
        terminal.says(LOADED)
        os.close(terminal.slave)
        # The reader has it open until then.
        os.kill(terminal.process.pid, signal.SIGSTOP)
        os.close(terminal.master)
        os.kill(terminal.process.pid, signal.SIGCONT)
        assert terminal.process.wait(10) == 0
    finally:
        terminal.end()
