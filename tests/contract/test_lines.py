"""The lines that projects and their tests look for, through Python's logging."""

import re
import signal

import pytest

from condition import wait_until
from contract.target import Serve, Target
from serving import free_port

mark = pytest.mark


def shown(target: Target, pattern: str) -> None:
    """Waits for a line that is, from its end back, what is awaited."""
    wait_until(
        lambda: re.search(pattern + "$", target.log(), re.MULTILINE), target.patience, pattern
    )


@mark.row("lines.banner")
def test_the_banner_is_the_first_line(serve: Serve) -> None:
    target = serve.shared()
    pattern = r"Tornado-powered Django web server\. Version: \S+"
    assert re.search(pattern, target.log().splitlines()[0])


@mark.row("lines.probes")
def test_where_probes_are_is_told(serve: Serve) -> None:
    target = serve.shared()
    shown(
        target,
        f"Starting probe application running on port {target.probe_port} with route "
        "liveness-probe: /alive, readiness-probe: /ready, startup-probe: /startup",
    )


@mark.row("lines.metrics")
def test_where_metrics_are_is_told(serve: Serve) -> None:
    target = serve.shared()
    port = target.probe_port
    shown(target, f"Starting Prometheus metrics exporter on port {port} with route /metrics")


@mark.row("lines.memory")
def test_that_memory_is_not_watched_is_told(serve: Serve) -> None:
    shown(serve.shared(), "Starting without memory allocation check")


@mark.row("lines.started")
def test_that_it_listens_and_how_long_it_took_is_told(serve: Serve) -> None:
    target = serve.shared()
    shown(target, f"Starting HTTP Server on port {target.port}")
    shown(target, r"Startup time is \d+\.\d+ seconds")


@mark.row("lines.no-probe")
def test_that_there_are_no_probes_is_told(serve: Serve) -> None:
    target = serve("--no-probe", wait=False)
    shown(target, "No probe application running")
    shown(target, "Running without Prometheus exporter, because --no-probe flag was set")


@mark.row("lines.no-metrics")
def test_that_there_are_no_metrics_is_told(serve: Serve) -> None:
    target = serve("--no-metrics", "--max-memory", "4000", wait=False)
    shown(target, "Running without Prometheus exporter, because --no-metrics flag was set")
    shown(target, "Starting memory allocation check with maximum memory set to 4000 Mb")


@mark.row("lines.integrated")
def test_that_probes_share_the_port_is_told(serve: Serve) -> None:
    port = str(free_port())
    target = serve("--port", port, "--probe-port", port, places=False, wait=False)
    shown(
        target,
        "Starting probe application with routes liveness-probe: /alive, readiness-probe: /ready, "
        f"startup-probe: /startup running integrated on port {port}",
    )


@mark.row("lines.commands")
def test_commands_are_told(serve: Serve) -> None:
    target = serve("--command", "errand first --loud", wait=False)
    shown(target, "Starting execution of management commands")
    shown(target, r"Starting execution of command errand with arguments \['first', '--loud'\]")
    shown(target, r"Command errand was executed in \d+\.?\d* seconds")


@mark.row("lines.migrations")
def test_migrations_are_told(serve: Serve) -> None:
    target = serve("--check-migrations-apply", wait=False)
    shown(target, "Database was checked successfully")
    shown(target, r"There are \d+ pending migrations")
    shown(target, "Applying migrations")
    shown(target, "No pending migrations")


@mark.row("lines.pending")
def test_that_migrations_are_pending_is_told(serve: Serve) -> None:
    target = serve("--check-migrations", wait=False)
    shown(target, r"There are \d+ pending migrations")
    shown(target, "Migrations are pending")


@mark.row("lines.stop")
def test_the_signal_is_told(serve: Serve) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        target = serve()
        target.process.send_signal(number)
        target.wait(target.patience)
        shown(target, rf"Received signal {number.name}\. Shutting down now\.")


@mark.row("lines.access")
@mark.parametrize(
    ("path", "status"), [("/named/a?b=c%20d", 200), ("/nowhere?e", 404), ("/raise?f", 500)]
)
def test_each_answer_is_a_line(serve: Serve, path: str, status: int) -> None:
    target = serve.shared()
    assert target.get(path).status == status
    shown(target, rf"{status} GET {re.escape(path)} \(127\.0\.0\.1\) \d+\.\d\dms")


@mark.row("lines.probes-silent")
def test_probes_are_no_lines(serve: Serve) -> None:
    target = serve()
    target.wait_for_ready()
    target.get("/named/last")
    target.wait_for_text("GET /named/last")
    assert not target.lines_with("GET /ready")


@mark.row("lines.probes-logged")
def test_probes_are_lines_with_the_setting(serve: Serve) -> None:
    target = serve(settings={"LOG_PROBES": True})
    target.wait_for_ready()
    shown(target, r"200 GET /ready \(127\.0\.0\.1\) \d+\.\d\dms")
