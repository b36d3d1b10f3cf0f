"""How a server starts: flags, their sources and precedence, and refusals in one sentence."""

import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import kubelet
import wire
from condition import wait_until
from conftest import Starter
from hurricane import _core
from refuse_ring import ring_is_refused
from serving import APPS, PROJECT, as_settings, free_port, run

MANAGE = (sys.executable, "manage.py", "serve")
BANNER = "Tornado-powered Django web server."
SCRIPT = str(Path(sys.executable).with_name("hurricane"))


def sentence(
    *flags: str, code: int, env: dict[str, str] | None = None, application: str | None = None
) -> str:
    """Runs a server that must refuse to start; returns the one line that it wrote."""
    words = [*MANAGE, *flags] if application is None else [SCRIPT, "serve", application, *flags]
    begin = time.monotonic()
    ended = run(words, env=env, cwd=PROJECT if application is None else APPS)
    seconds = time.monotonic() - begin
    assert ended.returncode == code, ended.stderr
    lines = [line for line in ended.stderr.splitlines() if line.strip() and BANNER not in line]
    assert len(lines) == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    # A second for the server; the rest for Python and Django on a busy machine.
    assert seconds < 5
    return lines[0]


# What only a Django project has.
OF_A_PROJECT = {
    "--autoreload",
    "--check-migrations",
    "--check-migrations-apply",
    "--command",
    "--debug",
    "--debugger",
    "--debugger-host",
    "--debugger-port",
    "--interface",
    "--media",
    "--pycharm-host",
    "--pycharm-port",
    "--static",
    "--static-watch",
}


def test_help_of_manage_py_and_of_the_script_list_every_flag() -> None:
    of_django = run([*MANAGE, "--help"]).stdout
    of_script = run([SCRIPT, "serve", "--help"]).stdout
    names = [flag["name"] for flag in _core.flags()]
    assert {"--port", "--workers", "--io", "--heartbeat-timeout", "--drain-delay"} <= set(names)
    shown = {name for name in names if re.search(rf"{name}(?![\w-])", of_script)}
    assert set(names) - shown == OF_A_PROJECT
    for name in names:
        assert re.search(rf"{name}(?![\w-])", of_django), name


def test_every_flag_has_its_environment_variable() -> None:
    for flag in _core.flags():
        assert flag["env"] == "HURRICANE_" + flag["name"][2:].upper().replace("-", "_")


def test_the_script_says_its_version_and_prints_completions_and_a_manual() -> None:
    version = run([SCRIPT, "--version"])
    assert version.returncode == 0
    assert _core.__version__ in version.stdout
    for words in (["completions", "bash"], ["completions", "zsh"], ["man"]):
        printed = run([SCRIPT, *words])
        assert printed.returncode == 0, printed.stderr
        assert "heartbeat" in printed.stdout


def test_flags_come_from_the_environment(start_once: Starter) -> None:
    server = start_once(env={"HURRICANE_READINESS_PROBE": "/of-environment"})
    server.wait_for_ready(path="/of-environment")


def test_settings_with_and_without_prefix_win_over_the_environment(start_once: Starter) -> None:
    server = start_once(
        env={
            "HURRICANE_READINESS_PROBE": "/of-environment",
            "HURRICANE_LIVENESS_PROBE": "/of-environment-too",
            **as_settings(
                HURRICANE_READINESS_PROBE="/of-settings", LIVENESS_PROBE="/bare", THREADS="bad"
            ),
        }
    )
    server.wait_for_ready(path="/of-settings")
    assert server.probe("/bare").response.status == 200
    assert server.probe("/of-environment").response.status == 404


def test_a_typed_flag_wins_even_when_it_equals_the_default(start_once: Starter) -> None:
    server = start_once(
        "--readiness-probe",
        "/ready",
        env={
            "HURRICANE_READINESS_PROBE": "/of-environment",
            **as_settings(HURRICANE_READINESS_PROBE="/of-settings"),
        },
    )
    server.wait_for_ready()
    assert server.probe("/of-settings").response.status == 404


def test_booleans_are_real_in_environment_and_settings(start_once: Starter) -> None:
    server = start_once(env={"HURRICANE_NO_PROBE": "false"})
    server.wait_for_ready()
    server = start_once(env={"HURRICANE_NO_PROBE": "1", **as_settings(HURRICANE_NO_PROBE=False)})
    server.wait_for_ready()


def test_djangos_debug_changes_nothing_about_the_server(start_once: Starter) -> None:
    server = start_once(env=as_settings(DEBUG=True))
    assert server.get("/").status == 200


def test_call_command_takes_keywords(start_once: Starter) -> None:
    port, probe_port = free_port(), free_port()
    program = (
        "import django; django.setup(); from django.core.management import call_command; "
        f"call_command('serve', host='127.0.0.1', port={port}, probe_port={probe_port}, "
        "workers=1, readiness_probe='/keyword', no_probe=False)"
    )
    env = {"DJANGO_SETTINGS_MODULE": "stage.settings", "HURRICANE_NO_PROBE": "1"}
    from serving import environment

    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=PROJECT, env=environment(env), start_new_session=True
    )
    try:

        def ready() -> bool:
            try:
                return kubelet.probe(probe_port, "/keyword").response.status == 200
            except (OSError, wire.Closed):
                return False

        wait_until(ready, 20)
        assert wire.get(port).body == b"hello"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--port", "abc"),
        ("--port", "65536"),
        ("--workers", "0"),
        ("--workers", "many"),
        ("--threads", "0"),
        ("--io", "kqueue"),
        ("--pin", "maybe"),
        ("--heartbeat-timeout", "-1"),
        ("--grace-period", "soon"),
        ("--max-body-size", "1x"),
        ("--backlog", "0"),
        ("--host", "localhost:80"),
    ],
)
def test_a_bad_value_is_one_sentence_that_names_flag_and_value(flag: str, value: str) -> None:
    said = sentence(f"{flag}={value}", code=2)
    assert flag in said
    assert value in said
    assert "expected" in said


def test_a_bad_value_elsewhere_names_variable_or_setting() -> None:
    said = sentence(code=2, env={"HURRICANE_PORT": "abc"})
    assert "variable HURRICANE_PORT" in said
    said = sentence(code=2, env=as_settings(HURRICANE_PORT="abc"))
    assert "setting HURRICANE_PORT" in said
    said = sentence(code=2, env=as_settings(PORT="abc"))
    assert "setting PORT" in said
    said = sentence(code=2, env=as_settings(HURRICANE_PORT=[8000]))
    assert "settings.HURRICANE_PORT is a list" in said


def test_an_unknown_flag_is_refused() -> None:
    ended = run([SCRIPT, "serve", "wsgi_apps:hello", "--prot=1"], cwd=APPS)
    assert ended.returncode == 2
    assert "--prot" in ended.stderr
    assert run([*MANAGE, "--prot=1"]).returncode == 2


@pytest.mark.parametrize(
    ("application", "cause"),
    [
        ("nowhere:application", 'there is no module "nowhere"'),
        ("broken:application", "a_module_that_is_not_there"),
        ("wsgi_apps:nothing", 'no attribute "nothing"'),
        ("wsgi_apps:not_callable", "is of type int, not a WSGI callable"),
        ("not-a-module:application", "is not a module name"),
    ],
)
def test_an_application_that_does_not_load_is_one_sentence(application: str, cause: str) -> None:
    said = sentence(code=1, application=application)
    assert application in said
    assert cause in said


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("stage.nowhere.application", 'there is no module "stage.nowhere"'),
        ("stage.wsgi.nothing", 'no attribute "nothing"'),
        ("application", "names no module"),
    ],
)
def test_a_wsgi_application_setting_that_does_not_load_is_one_sentence(
    path: str, cause: str
) -> None:
    said = sentence(code=1, env=as_settings(WSGI_APPLICATION=path))
    assert path in said
    assert cause in said


def test_without_wsgi_application_djangos_own_handler_serves(start_once: Starter) -> None:
    server = start_once(env=as_settings(WSGI_APPLICATION=None))
    assert server.get("/").body == b"hello"
    assert server.lines("built") == []


@pytest.mark.parametrize("flag", ["--port", "--probe-port"])
def test_a_taken_port_is_one_sentence(flag: str) -> None:
    other = "--probe-port" if flag == "--port" else "--port"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        flags = [f"{flag}={port}", f"{other}={free_port()}", "--host=127.0.0.1"]
        said = sentence(*flags, code=1)
    assert str(port) in said
    assert flag in said


def test_a_second_server_on_the_same_port_is_refused(start_once: Starter) -> None:
    server = start_once()
    flags = [f"--port={server.port}", f"--probe-port={free_port()}", "--host=127.0.0.1"]
    assert str(server.port) in sentence(*flags, code=1)
    assert server.get("/").status == 200


def test_failing_system_checks_keep_the_server_from_starting(tmp_path: Path) -> None:
    (tmp_path / "start-fails").touch()
    port = free_port()
    ended = run([*MANAGE, f"--port={port}"], env={"STAGE_SIGNALS": str(tmp_path)})
    assert ended.returncode == 1
    assert "told to fail" in ended.stderr
    with pytest.raises(ConnectionRefusedError):
        wire.Connection(port)


@pytest.mark.parametrize("engine", ["epoll", "epoll-enosys"])
def test_io_uring_on_demand_is_refused_with_cause_and_remedy(
    start_once: Starter, engine: str
) -> None:
    server = start_once("--io", "io-uring", engine=engine, wait=False)
    assert server.wait(20) == 1
    lines = [line for line in server.log().splitlines() if BANNER not in line]
    assert len(lines) == 1, lines
    assert "io_uring" in lines[0]
    assert "seccomp" in lines[0]
    assert "--io" in lines[0]


@pytest.mark.parametrize("engine", ["epoll", "epoll-enosys"])
def test_where_io_uring_is_refused_epoll_serves_and_the_log_says_why(
    start_once: Starter, engine: str
) -> None:
    server = start_once(engine=engine)
    assert server.get("/").body == b"hello"
    assert server.status()["workers"][0]["engine"] == "epoll"
    assert "epoll" in server.log()
    assert "seccomp" in server.log()


def test_epoll_can_be_chosen(start_once: Starter) -> None:
    server = start_once("--io", "epoll")
    assert server.status()["workers"][0]["engine"] == "epoll"


@pytest.mark.skipif(ring_is_refused() != 0, reason="this host refuses io_uring")
def test_io_uring_serves_where_it_can_be_had(start_once: Starter) -> None:
    server = start_once("--io", "io-uring")
    assert server.get("/").body == b"hello"
    assert server.status()["workers"][0]["engine"] == "io-uring"


def test_one_line_says_workers_engine_pin_and_ports(start_once: Starter) -> None:
    server = start_once("--workers", "2")
    line = wait_until(lambda: server.lines_with(" serving version="), 5)[0]
    for part in ("workers", "--workers", "pin", str(server.port), str(server.probe_port)):
        assert part in line
    assert "io-uring" in line or "epoll" in line


def test_any_wsgi_application_is_served_without_django(start_once: Starter) -> None:
    flask = start_once(application="flask_app")
    assert flask.get("/").body == b"hello from Flask"
    form = "Content-Type: application/x-www-form-urlencoded"
    assert flask.post("/form", b"a=1&b=2", form).json() == {"a": "1", "b": "2"}


def test_the_default_host_is_reached_by_ipv4_and_ipv6(start_once: Starter) -> None:
    server = start_once("--host", "::")
    assert server.get("/").status == 200
    try:
        with wire.Connection(server.port, host="::1") as connection:
            assert connection.get("/").status == 200
        with wire.Connection(server.probe_port, host="::1") as connection:
            assert connection.get("/ready", "Connection: close").status == 200
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")


def test_port_0_lets_the_kernel_choose_and_logs_the_choice(start_once: Starter) -> None:
    server = start_once("--port", "0", "--probe-port", "0", wait=False)
    ports = wait_until(lambda: re.findall(r"127\.0\.0\.1:(\d+)", server.log()), 20)
    assert wire.get(int(ports[0])).body == b"hello"
    assert kubelet.probe(int(ports[1]), "/startup").response.status == 200
