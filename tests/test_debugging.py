"""Debuggers that attach to the server's worker, and PyCharm's, to which it connects."""

import inspect
import os
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from condition import wait_until
from conftest import Starter
from dap import Debugger
from hurricane.server import debugging
from hurricane.server.debugging import setup_debugging, setup_debugpy, setup_pycharm
from hurricane.server.exceptions import IncompatibleOptions
from serving import Server, as_settings, free_port, run

PATIENCE_SECONDS = 20.0
LOGGING = {
    "version": 1,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"hurricane": {"handlers": ["console"], "level": "INFO"}},
}
LOGGED = as_settings(LOGGING=LOGGING)


def line_of(function: Any, text: str) -> tuple[Path, int]:
    """Where a function has that text."""
    lines, first = inspect.getsourcelines(function)
    at = next(at for at, line in enumerate(lines) if text in line)
    return Path(inspect.getfile(function)), first + at


def listening(pid: int) -> set[str]:
    """Addresses on which TCP sockets of the network listen, at a port."""
    lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    return {line.split()[1] for line in lines if line.split()[3] == "0A"}


def test_a_view_stops_at_a_breakpoint_for_as_long_as_it_likes(start_once: Starter) -> None:
    from stage import views

    port = free_port()
    server = start_once(
        *("--debugger", "--debugger-port", str(port), "--workers", "2"),
        *("--request-timeout", "1s", "--heartbeat-timeout", "0.5s", "--threads", "2"),
        env=LOGGED,
    )
    assert server.lines_with(f"Listening for debug clients at port {port}")
    assert server.lines_with("--workers 2 is ignored")
    (worker,) = server.workers()
    assert f"0100007F:{port:04X}" in listening(worker), "on this host alone"

    with Debugger(port) as debugger, ThreadPoolExecutor() as pool:
        debugger.attach(*line_of(views.hello, "return"))
        # Both threads have a request: without a debugger such a worker would be stuck.
        answers = [pool.submit(server.get, "/") for _ in range(2)]
        stop = debugger.event("stopped")
        assert stop["reason"] == "breakpoint"
        trace = debugger.ask("stackTrace", threadId=stop["threadId"], levels=1)
        assert trace["stackFrames"][0]["name"] == "hello"
        threads = debugger.ask("threads")["threads"]
        assert {"application-0", "application-1"} <= {thread["name"] for thread in threads}

        def stands() -> bool:
            assert server.probe("/ready").response.status == 200
            assert server.probe("/alive").response.status == 200
            (state,) = server.status()["workers"]
            return bool(state["stuck_seconds"] > 2.5)

        wait_until(stands, PATIENCE_SECONDS, "more than twice the time to be stuck")
        assert not any(answer.done() for answer in answers)
        debugger.ask("continue", threadId=stop["threadId"])
        debugger.ask("continue", threadId=debugger.event("stopped")["threadId"])
        assert [answer.result(PATIENCE_SECONDS).body for answer in answers] == [b"hello"] * 2
        assert server.workers() == [worker]
    server.terminate()
    assert server.wait() == 0


def test_a_worker_that_dies_is_debugged_again(start_once: Starter) -> None:
    port = free_port()
    server = start_once("--debugger", "--debugger-port", str(port), env=LOGGED)
    (first,) = server.workers()
    os.kill(first, 9)
    wait_until(lambda: server.workers() not in ([], [first], [0]), PATIENCE_SECONDS, "another")
    said = f"Listening for debug clients at port {port}"
    wait_until(lambda: len(server.lines_with(said)) == 2, PATIENCE_SECONDS, "it to listen")
    assert server.get("/").body == b"hello"


def test_a_port_that_is_taken_is_a_warning(start_once: Starter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = start_once("--debugger", "--debugger-port", str(port), env=LOGGED)
        assert server.lines_with(f"Could not listen for debug clients at port {port}")
        assert server.get("/").body == b"hello"


def test_a_server_without_a_debugger_listens_nowhere_else(start_once: Starter) -> None:
    server = start_once(env={"HURRICANE_DEBUGGER_PORT": "1", "HURRICANE_DEBUGGER": "false"})
    assert not server.lines_with("debug clients")
    assert "debugpy" not in maps(server)


def maps(server: Server) -> str:
    """What the worker has loaded."""
    return Path(f"/proc/{server.workers()[0]}/maps").read_text()


def test_a_pycharm_that_is_not_there_is_a_warning(start_once: Starter) -> None:
    port = free_port()
    server = start_once("--pycharm-host", "127.0.0.1", "--pycharm-port", str(port), env=LOGGED)
    assert server.lines_with(f"Could not connect to debug server at 127.0.0.1:{port}")
    assert server.get("/").body == b"hello"
    assert len(server.workers()) == 1


def test_a_worker_connects_to_pycharm(start_once: Starter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ide:
        port = ide.getsockname()[1]
        heard: list[str] = []

        def listen() -> None:
            connection, _ = ide.accept()
            with connection, connection.makefile("rw") as stream:
                # The version, then: the program may run.
                stream.write("501\t1\t1.1\tUNIX\n101\t3\t\n")
                stream.flush()
                heard.extend(stream)

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        server = start_once("--pycharm-host", "127.0.0.1", "--pycharm-port", str(port), env=LOGGED)
        assert server.lines_with(f"Connected to debug server at 127.0.0.1:{port}")
        assert server.get("/").body == b"hello"
        server.terminate()
        assert server.wait() == 0
        thread.join(PATIENCE_SECONDS)
    assert heard


def test_a_pycharm_that_says_nothing_keeps_nobody_waiting(start_once: Starter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        server = start_once("--pycharm-host", "127.0.0.1", "--pycharm-port", str(port), env=LOGGED)
        assert server.lines_with(f"Could not connect to debug server at 127.0.0.1:{port}")
        assert server.get("/").body == b"hello"


def test_pycharm_needs_its_port(start_once: Starter) -> None:
    server = start_once("--pycharm-host", "127.0.0.1", env=LOGGED)
    assert server.lines_with("No '--pycharm-port' was specified. The '--pycharm-host' option can ")


@pytest.mark.parametrize("options", [{"debugger": True}, {"debugger": False, "pycharm_host": "h"}])
def test_a_debugger_and_autoreload_do_not_go_together(options: dict[str, object]) -> None:
    with pytest.raises(IncompatibleOptions, match="do not go together"):
        setup_debugging({"autoreload": True, "pycharm_host": None, **options})


@pytest.mark.parametrize("flag", ["--debugger", "--pycharm-host=127.0.0.1"])
def test_a_server_refuses_both_in_one_sentence(flag: str) -> None:
    ended = run([sys.executable, "manage.py", "serve", "--autoreload", flag])
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("IncompatibleOptions: --autoreload and a debugger do not go together")


def test_packages_that_are_not_there_are_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "debugpy", None)
    monkeypatch.setitem(sys.modules, "pydevd_pycharm", None)
    setup_debugpy({"debugger": True})
    setup_pycharm({"pycharm_host": "ide"})
    assert "--debugger is ignored: there is no module debugpy" in caplog.text
    assert "--pycharm-host is ignored: there is no module pydevd_pycharm" in caplog.text


def test_the_packages_are_called_as_they_want_to_be(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[object] = []

    class Debugpy:
        @staticmethod
        def listen(address: tuple[str, int]) -> None:
            calls.append(address)
            if len(calls) == 1:
                raise RuntimeError("the port is still taken")

        @staticmethod
        def debug_this_thread() -> None:
            calls.append(threading.current_thread().name)

    class Pydevd:
        @staticmethod
        def settrace(host: str, stdout: bool, stderr: bool, port: int, suspend: bool) -> None:
            calls.append((host, port, stdout, stderr, suspend))

    caplog.set_level("INFO", "hurricane")
    monkeypatch.setattr(debugging, "joins", [])
    monkeypatch.setitem(sys.modules, "debugpy", Debugpy)
    monkeypatch.setitem(sys.modules, "pydevd_pycharm", Pydevd)
    setup_debugpy({"debugger": True, "debugger_port": 8071})
    setup_pycharm({"pycharm_host": "ide", "pycharm_port": 9})
    traced = ("ide", 9, True, True, False)
    assert calls == [("127.0.0.1", 8071), ("127.0.0.1", 8071), traced]
    thread = threading.Thread(target=debugging.join_thread, args=("application-0",))
    thread.start()
    thread.join()
    assert calls[3:] == ["application-0", traced]
    assert "Listening for debug clients at port 8071" in caplog.text
    assert "Connected to debug server at ide:9" in caplog.text
