"""The lines that projects moved from Django-Hurricane look for, word for word and once each."""

import json
import re
import signal
from pathlib import Path

import pytest

from condition import wait_until
from conftest import Starter
from hurricane import _core
from packages import directory_with
from serving import Server, as_settings, free_port

BANNER = f"Tornado-powered Django web server. Version: {_core.__version__}"
ROUTES = "liveness-probe: /alive, readiness-probe: /ready, startup-probe: /startup"
PATHS = "liveness=/alive port=PORT readiness=/ready startup=/startup"
HANDLED = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"marked": {"format": "%(name)s %(levelname)s|%(message)s"}},
    "handlers": {"marked": {"class": "logging.StreamHandler", "formatter": "marked"}},
    "loggers": {"hurricane.server": {"handlers": ["marked"], "level": "INFO"}},
}


def ended(server: Server) -> list[str]:
    """Every line of a server, which is told to stop."""
    server.terminate()
    assert server.wait() == 0
    return server.log().splitlines()


def expected(server: Server) -> list[str]:
    """What a server of one worker says of itself, in this order."""
    return [
        f"Hurricane, in place of the {BANNER}",
        f"Starting probe application running on port {server.probe_port} with route {ROUTES}",
        "Starting without memory allocation check",
        f"Starting HTTP Server on port {server.port}",
        "Startup time is SECONDS seconds",
        "Received signal SIGTERM. Shutting down now.",
    ]


def said(lines: list[str], server: Server, before: str) -> list[str]:
    """The announcements among the lines; ``before`` is what each begins with."""
    texts = [re.sub(r"is [\d.e-]+ seconds", "is SECONDS seconds", line) for line in lines]
    texts = [re.sub(before, "", text) for text in texts if re.match(before, text)]
    return [text for text in texts if text in expected(server)]


def test_a_server_without_logging_settings_writes_them_on_stderr(start_once: Starter) -> None:
    server = start_once()
    lines = ended(server)
    assert said(lines, server, r"\S+Z  INFO ") == expected(server)
    assert BANNER in lines[0]


def test_handlers_of_the_project_get_them_instead(start_once: Starter) -> None:
    server = start_once(env=as_settings(LOGGING=HANDLED))
    lines = ended(server)
    assert said(lines, server, r"hurricane\.server\.general INFO\|") == expected(server)
    assert said(lines, server, r"\S+Z  INFO ") == []


def test_json_lines_hold_them(start_once: Starter) -> None:
    server = start_once("--log-format", "json", env=as_settings(LOGGING=HANDLED))
    records = [json.loads(line) for line in ended(server) if line.startswith("{")]
    assert said([record["message"] for record in records], server, "") == expected(server)


def test_the_banner_of_the_original_comes_back_on_request(start_once: Starter) -> None:
    server = start_once("--compat", "1.6", env=as_settings(LOGGING=HANDLED))
    lines = ended(server)
    assert lines[0] == f"hurricane.server.general INFO|{BANNER}"
    without = "hurricane.server.general WARNING|Starting without memory allocation check"
    assert without in lines


def test_probes_elsewhere_and_limits_are_announced(start_once: Starter) -> None:
    port = free_port()
    flags = ("--port", str(port), "--probe-port", str(port), "--max-memory", "3000")
    server = start_once(*flags, "--liveness-probe", "live", wait=False)
    server.port = server.probe_port = port
    server.wait_for_start()
    routes = ROUTES.replace("/alive", "/live")
    probes = f"Starting probe application with routes {routes} running integrated on port {port}"
    assert len(server.lines_with(probes)) == 1
    memory = "Starting memory allocation check with maximum memory set to 3000 Mb"
    assert len(server.lines_with(memory)) == 1


def test_no_probes_are_announced_as_such(start_once: Starter) -> None:
    server = start_once("--no-probe", wait=False)
    wait_until(lambda: server.lines_with("Startup time is "), 20)
    assert len(server.lines_with("No probe application running")) == 1


@pytest.mark.parametrize("handled", [False, True])
def test_what_comes_before_the_start_is_announced(start_once: Starter, handled: bool) -> None:
    settings = {"LOGGING": HANDLED} if handled else {}
    server = start_once(
        *("--command", "check --tag models", "--check-migrations-apply"),
        env=as_settings(**settings),
    )
    for text in (
        "Starting execution of management commands",
        "Starting execution of command check with arguments ['--tag', 'models']",
        "Command check was executed in ",
        "Database was checked successfully",
        "pending migrations",
        "Applying migrations",
        "No pending migrations",
    ):
        found = [line for line in server.lines_with(text) if "INFO" in line]
        assert found, text
        assert len({"general INFO|" in line for line in found}) == 1
        assert len(found) == 1 or text == "pending migrations"


def test_files_are_announced(start_once: Starter, tmp_path: Path) -> None:
    root = str(tmp_path)
    places = {"STATIC_URL": "/static/", "STATIC_ROOT": root}
    places |= {"MEDIA_URL": "/m/", "MEDIA_ROOT": root}
    server = start_once(
        *("--static", "--media"),
        env=as_settings(**places),
    )
    assert len(server.lines_with(f"Serving static files under /static/ from {tmp_path}")) == 1
    assert len(server.lines_with(f"Serving media files under /m/ from {tmp_path}")) == 1
    (tmp_path / "a.txt").write_text("a")
    assert server.get("/static/missing.txt").status == 404
    wait_until(lambda: server.lines_with("404 GET /static/missing.txt (127.0.0.1)"), 10)


def test_structlog_gets_events_instead(start_once: Starter) -> None:
    path = str(directory_with("structlog"))
    server = start_once("--command", "check", "--max-memory", "3000", env={"PYTHONPATH": path})
    lines = ended(server)
    paths = PATHS.replace("PORT", str(server.probe_port))
    for event in (
        rf"Tornado-powered Django web server\. +hurricane={_core.__version__}",
        f"Probe configured +active=True integrated=False {paths}",
        "Memory allocation check +active=True max_memory_mb=3000",
        r"Command executed +command=\['check'\] time=[\d.]+",
        rf"HTTP configured +port={server.port} time=[\d.e-]+ workers=1",
        "Received signal SIGTERM. Shutting down now.",
        "server ended +code=0",
    ):
        found = [line for line in lines if re.search(r"\[info     \] " + event, line)]
        assert len(found) == 1, event
    assert not [line for line in lines if "Starting HTTP Server" in line]


def test_another_wsgi_server_announces_nothing(start_once: Starter) -> None:
    server = start_once(application="wsgi_apps:dispatch")
    lines = ended(server)
    assert said(lines, server, r"\S+Z  INFO ") == []
    assert [line for line in lines if f'signal="{signal.SIGTERM.name}"' in line]
