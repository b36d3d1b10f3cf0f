"""The lines that projects and their tests look for, through Python's logging."""

import re

import pytest

from condition import wait_until
from contract.target import Serve, Target

mark = pytest.mark


def shown(target: Target, pattern: str) -> None:
    """Waits for a line that is, from its end back, what is awaited."""
    wait_until(
        lambda: re.search(pattern + "$", target.log(), re.MULTILINE), target.patience, pattern
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
