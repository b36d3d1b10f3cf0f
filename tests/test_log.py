"""Log lines: for people, as JSON, and through Python's logging."""

import json
import logging
import sys
from pathlib import Path

import pytest

from condition import wait_until
from conftest import Starter
from hurricane.server import loggers
from serving import as_settings, run


def test_json_lines_are_flat_objects(start_once: Starter) -> None:
    server = start_once("--log-format", "json")
    server.get("/raise")
    server.terminate()
    assert server.wait() == 0
    lines = [line for line in server.log().splitlines() if line.startswith("{")]
    assert lines
    for line in lines:
        record = json.loads(line)
        assert {"timestamp", "level", "message"} <= set(record)
        assert not any(isinstance(value, dict) for value in record.values())


def test_human_lines_carry_time_level_and_sentence(start_once: Starter) -> None:
    server = start_once()
    wait_until(lambda: " INFO " in server.log(), 5)
    assert "\x1b[" not in server.log()


def test_the_projects_own_logging_is_in_force_in_the_workers(start_once: Starter) -> None:
    to_console = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "root": {"handlers": ["console"]},
    }
    server = start_once(env=as_settings(LOGGING=to_console))
    server.get("/raise")
    wait_until(lambda: "a view of the tests raised" in server.log(), 5)
    assert "Traceback" in server.log()


def test_a_change_of_health_is_logged_with_the_check_that_caused_it(start_once: Starter) -> None:
    server = start_once()
    server.wait_for_ready()
    server.put("readiness-fails")
    wait_until(lambda: "stage.checks.readiness" in server.log(), 5)


@pytest.mark.parametrize(
    "module", ["hurricane", "hurricane.server", "hurricane.server.loggers", "hurricane.flags"]
)
def test_modules_import_before_settings_are_configured(module: str) -> None:
    program = f"import {module}; from django.conf import settings; assert not settings.configured"
    ended = run([sys.executable, "-c", program])
    assert ended.returncode == 0, ended.stderr


HANDLED = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"marked": {"format": "handled %(name)s %(levelname)s %(message)s"}},
    "handlers": {"marked": {"class": "logging.StreamHandler", "formatter": "marked"}},
    "loggers": {"hurricane.server": {"handlers": ["marked"], "level": "INFO"}},
}


def test_handlers_of_the_servers_python_loggers_get_its_lines(start_once: Starter) -> None:
    server = start_once(env=as_settings(LOGGING=HANDLED))
    server.wait_for_ready()
    wait_until(lambda: "handled hurricane.server.general INFO serving" in server.log(), 5)
    server.put("readiness-raises")
    wait_until(lambda: "handled hurricane.server.general ERROR" in server.log(), 5)


def test_the_python_loggers_are_plain_without_structlog() -> None:
    if loggers.STRUCTLOG_ENABLED:
        pytest.skip("structlog is installed")
    named = [loggers.logger, loggers.access_log, loggers.app_log, loggers.metrics_log]
    assert all(isinstance(logger, logging.Logger) for logger in named)
    assert [logger.name.rpartition(".")[2] for logger in named] == [
        "general",
        "access",
        "application",
        "metrics",
    ]


def test_structlog_is_used_where_it_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "structlog.py").write_text("def get_logger(name): return 'structlog ' + name\n")
    program = (
        "from hurricane.server.loggers import STRUCTLOG_ENABLED, logger\n"
        "assert STRUCTLOG_ENABLED\n"
        "assert logger == 'structlog hurricane.server.general'\n"
    )
    ended = run([sys.executable, "-c", program], env={"PYTHONPATH": str(tmp_path)})
    assert ended.returncode == 0, ended.stderr
