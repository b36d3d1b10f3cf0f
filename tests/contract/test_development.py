"""What only those want who develop a project: reloading, static files, debuggers."""

import time
from pathlib import Path

import pytest

from condition import wait_until
from contract.target import Contract, Serve, Target
from serving import free_port
from wire import Closed, request

mark = pytest.mark

# A URLconf with a view that says what the test wants.
SITE = """
from agreed.urls import urlpatterns as agreed
from django.http import HttpResponse
from django.urls import path

def changing(request):
    return HttpResponse({said!r})

urlpatterns = [path("changing", changing), *agreed]
"""
# After so long the original may have missed a change: it remembers the time of a file at its first
# look, half a second after its start.
MISSED_SECONDS = 3.0


class Editor:
    """Saves a module that a server has loaded."""

    def __init__(self, serve: Serve, directory: Path) -> None:
        self.serve = serve
        self.path = directory / "changing.py"
        self.say("first")

    def say(self, text: str) -> None:
        """Lets the view say this."""
        self.path.write_text(SITE.format(said=text))

    def start(self, *flags: str) -> Target:
        """A server that has the view."""
        return self.begin("--autoreload", *flags)

    def begin(self, *flags: str, **settings: object) -> Target:
        """The same with these flags alone."""
        env = {"PYTHONPATH": str(self.path.parent), "PYTHONDONTWRITEBYTECODE": "1"}
        return self.serve(*flags, settings={"ROOT_URLCONF": "changing", **settings}, env=env)

    def until(self, target: Target, text: str) -> None:
        """Waits until the view says what was saved last."""
        until = time.monotonic() + MISSED_SECONDS

        def says() -> bool:
            nonlocal until
            if self.serve.original and time.monotonic() > until:
                self.path.touch()
                until = time.monotonic() + MISSED_SECONDS
            try:
                return target.get("/changing").text == text
            except (OSError, Closed):
                return False

        target.until(says, f"{text!r} to be served")


@pytest.fixture
def editor(serve: Serve, tmp_path: Path) -> Editor:
    """Somebody who changes the project."""
    return Editor(serve, tmp_path)


@mark.row("development.autoreload")
def test_what_is_saved_is_served(editor: Editor) -> None:
    target = editor.start()
    target.patience = 15.0
    editor.until(target, "first")
    editor.say("second")
    editor.until(target, "second")
    loaded = "Autoreload was performed"
    wait_until(lambda: len(target.lines_with(loaded)) >= 2, 15.0, loaded)


@mark.row("development.autoreload-syntax")
def test_what_cannot_be_loaded_ends_nothing(editor: Editor) -> None:
    target = editor.start()
    editor.until(target, "first")
    editor.path.write_text("def (:\n")

    def noticed() -> bool:
        if editor.serve.original:
            editor.path.touch()
        return "SyntaxError" in target.log()

    wait_until(noticed, 15.0, "the error to be shown")
    assert target.get("/changing").text == "first"
    editor.say("mended")
    editor.until(target, "mended")


@mark.old("development.autoreload-syntax")
def test_what_could_not_be_loaded_ended_the_server(editor: Editor) -> None:
    target = editor.start()
    editor.until(target, "first")
    editor.path.write_text("def (:\n")

    def ended() -> bool:
        if editor.serve.original:
            editor.path.touch()
        return target.process.poll() is not None

    wait_until(ended, 15.0, "the server to end")
    assert target.process.returncode == 1
    assert "SyntaxError" in target.log()


@mark.old("flags.debug-setting")
def test_djangos_debug_turned_on_reloading(editor: Editor) -> None:
    target = editor.begin(DEBUG=True)
    target.patience = 15.0
    editor.until(target, "first")
    editor.say("second")
    editor.until(target, "second")


@mark.row("development.autoreload-requests")
def test_requests_survive_a_reload(editor: Editor) -> None:
    target = editor.start()
    target.patience = 15.0
    with target.connect() as connection:
        connection.send(request("GET", "/hold/gate"))
        target.wait_for_lines("gate-entered", 1)
        editor.say("second")
        editor.until(target, "second")
        target.put("gate-open")
        assert connection.response().body == b"released"


@mark.row("development.static-watch")
def test_static_files_are_collected_when_they_change(serve: Serve, tmp_path: Path) -> None:
    source, root, absent = (tmp_path / name for name in ("source", "root", "absent"))
    source.mkdir()
    settings = {
        "INSTALLED_APPS": ["django.contrib.staticfiles", "hurricane", "agreed"],
        "STATIC_URL": "/static/",
        "STATIC_ROOT": str(root),
        "STATICFILES_DIRS": [str(source)],
    }
    watched = ["--static-watch", str(source), "--static-watch", str(absent)]
    target = serve("--autoreload", *watched, settings=settings)
    target.wait_for_text(f"Watching path {source}.")
    target.wait_for_text(f"Tried to watch {absent}, but it does not exist.")
    count = 0

    def collected() -> bool:
        nonlocal count
        # Again and again for the original, as above.
        if serve.original or not count:
            count += 1
            (source / f"style-{count}.css").write_text("body {}")
        return (root / "style-1.css").exists()

    wait_until(collected, 15.0, "the file to be collected")


FAKE_DEBUGPY = """
import os, pathlib

def listen(address):
    path = pathlib.Path(os.environ["STAGE_SIGNALS"], "listening")
    path.write_text("%s %s" % address)

def debug_this_thread():
    pass
"""
FAKE_PYCHARM = """
import os, pathlib

def settrace(host, _stdout=False, _stderr=False, port=5678, suspend=True, **_more):
    # Each thread is traced: what is there stays there.
    with pathlib.Path(os.environ["STAGE_SIGNALS"], "traced").open("a") as traced:
        print(host, port, suspend, file=traced)
"""


def with_module(serve: Serve, place: Path, name: str, text: str, *flags: str) -> Target:
    """A server that finds this module before any of that name."""
    (place / f"{name}.py").write_text(text)
    return serve(*flags, env={"PYTHONPATH": str(place)})


@mark.row("development.debugger")
def test_a_debugger_is_listened_for(serve: Serve, tmp_path: Path) -> None:
    port = str(free_port())
    flags = ["--debugger", "--debugger-port", port]
    target = with_module(serve, tmp_path, "debugpy", FAKE_DEBUGPY, *flags)
    target.wait_for_text(f"Listening for debug clients at port {port}")
    assert target.lines("listening")[0].endswith(f" {port}")
    assert target.get("/").body == b"hello"


@mark.row("development.debugger-address")
def test_a_debugger_is_listened_for_on_the_loopback(serve: Serve, tmp_path: Path) -> None:
    target = with_module(serve, tmp_path, "debugpy", FAKE_DEBUGPY, "--debugger")
    target.wait_for_text("Listening for debug clients at port 5678")
    assert target.lines("listening") == ["127.0.0.1 5678"]


@mark.old("development.debugger-address")
def test_a_debugger_was_listened_for_everywhere(serve: Serve, tmp_path: Path) -> None:
    target = with_module(serve, tmp_path, "debugpy", FAKE_DEBUGPY, "--debugger")
    target.wait_for_text("Listening for debug clients at port 5678")
    assert target.lines("listening") == ["0.0.0.0 5678"]


@mark.row("development.pycharm")
def test_pycharm_is_connected_to(serve: Serve, tmp_path: Path) -> None:
    flags = ["--pycharm-host", "ide", "--pycharm-port", "4000"]
    target = with_module(serve, tmp_path, "pydevd_pycharm", FAKE_PYCHARM, *flags)
    target.wait_for_text("Connected to debug server at ide:4000")
    assert set(target.lines("traced")) == {"ide 4000 False"}
    assert target.get("/").body == b"hello"


@mark.row("development.pycharm-absent")
def test_a_pycharm_that_is_not_there_is_only_warned_of(serve: Serve, tmp_path: Path) -> None:
    refusing = "def settrace(*_words, **_more):\n    raise ConnectionRefusedError\n"
    flags = ["--pycharm-host", "ide", "--pycharm-port", "4000"]
    target = with_module(serve, tmp_path, "pydevd_pycharm", refusing, *flags)
    target.wait_for_text("Could not connect to debug server at ide:4000")
    assert target.get("/").body == b"hello"


@mark.row("development.pycharm-port")
def test_pycharm_needs_its_port(serve: Serve, tmp_path: Path) -> None:
    flags = ["--pycharm-host", "ide"]
    target = with_module(serve, tmp_path, "pydevd_pycharm", FAKE_PYCHARM, *flags)
    target.wait_for_text("No '--pycharm-port' was specified.")
    assert target.get("/").body == b"hello"


@mark.row("development.debugger-and-autoreload")
@mark.parametrize("flag", ["--debugger", "--pycharm-host=ide"])
def test_a_debugger_and_autoreload_are_refused(contract: Contract, flag: str) -> None:
    ports = ["--port", str(free_port()), "--probe-port", str(free_port())]
    ended = contract.run("manage.py", "serve", "--autoreload", flag, *ports)
    assert ended.code != 0
    assert "IncompatibleOptions" in ended.err


@mark.row("development.debugger-and-autoreload-says")
def test_a_debugger_and_autoreload_are_refused_in_one_sentence(contract: Contract) -> None:
    ports = ["--port", str(free_port()), "--probe-port", str(free_port())]
    ended = contract.run("manage.py", "serve", "--autoreload", "--debugger", *ports)
    assert ended.code == 2
    assert "Traceback" not in ended.err


@mark.old("development.debugger-and-autoreload-says")
def test_a_debugger_and_autoreload_were_an_exception(contract: Contract) -> None:
    ports = ["--port", str(free_port()), "--probe-port", str(free_port())]
    env = contract.surroundings(legacy=True)
    ended = contract.run("manage.py", "serve", "--autoreload", "--debugger", *ports, env=env)
    assert ended.code == 1
    assert "Traceback" in ended.err
