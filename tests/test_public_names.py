"""What projects import from ``hurricane``, and what its functions do when they call them."""

import asyncio
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import django
import pytest
from django.core.management.base import CommandError
from django.db import OperationalError, connections
from django.test import override_settings

from hurricane import checks, server
from hurricane.server import (
    check_databases,
    check_db_and_migrations,
    command_task,
    count_migrations,
    sanitize_probes,
    signal_handler,
    static_watch,
)
from hurricane.server.exceptions import IncompatibleOptions
from hurricane.server.wsgi import HurricaneWSGIContainer, HurricaneWSGIException
from receiver import Receiver
from serving import run

NAMES = {
    "hurricane": ["__version__"],
    "hurricane.management.commands": ["HURRICANE_DIST_VERSION"],
    "hurricane.server": [
        "check_databases",
        "check_db_and_migrations",
        "command_task",
        "count_migrations",
        "logger",
        "sanitize_probes",
        "signal_handler",
        "static_watch",
    ],
    "hurricane.server.exceptions": ["IncompatibleOptions"],
    "hurricane.server.loggers": [
        "STRUCTLOG_ENABLED",
        "access_log",
        "app_log",
        "logger",
        "metrics_log",
    ],
    "hurricane.server.wsgi": ["HurricaneWSGIContainer", "HurricaneWSGIException"],
    "hurricane.webhooks": [
        "LivenessWebhook",
        "ReadinessWebhook",
        "StartupWebhook",
        "WebhookRegistry",
        "webhook_registry",
    ],
    "hurricane.webhooks.base": ["Webhook", "WebhookStatus"],
    "hurricane.webhooks.exceptions": ["WebhookCodeAlreadyRegistered"],
    "hurricane.webhooks.registry": ["WebhookRegistry"],
    "hurricane.webhooks.webhook_types": ["LivenessWebhook", "ReadinessWebhook", "StartupWebhook"],
}


@pytest.fixture(autouse=True)
def signals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """Where the commands of the test project note what they do, and where its database is."""
    django.setup()
    monkeypatch.setitem(connections.settings["default"], "NAME", str(tmp_path / "db"))
    with override_settings(SIGNALS=tmp_path):
        yield tmp_path


@pytest.mark.parametrize("module", NAMES)
def test_every_name_is_there_before_settings_are_configured(module: str, tmp_path: Path) -> None:
    program = (
        f"from {module} import {', '.join(NAMES[module])}\n"
        "from django.conf import settings; assert not settings.configured"
    )
    ended = run([sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": sys.path[0]})
    assert ended.returncode == 0, ended.stderr


def test_importing_leaves_signals_alone(tmp_path: Path) -> None:
    program = (
        "import signal; before = signal.getsignal(signal.SIGINT); import hurricane.server;"
        "assert signal.getsignal(signal.SIGINT) is before"
    )
    assert run([sys.executable, "-c", program], cwd=tmp_path).returncode == 0


def test_the_signal_handler_ends_the_program(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        signal_handler(15, None)
    assert ended.value.code == 0
    assert "program exiting gracefully" in caplog.text


def test_static_watch_collects_anew_and_survives_a_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def called(*words: str, **options: object) -> None:
        calls.append((words, options))
        if len(calls) > 1:
            raise OSError("the disk is full")

    caplog.set_level("INFO", "hurricane")
    monkeypatch.setattr("django.core.management.call_command", called)
    static_watch()
    static_watch()
    assert calls == [(("collectstatic",), {"interactive": False, "clear": True})] * 2
    messages = [record.getMessage() for record in caplog.records]
    assert messages[-2:] == ["Collecting static as static file changed", "the disk is full"]


def test_databases_that_can_be_reached_are_true() -> None:
    assert check_databases() is True


@pytest.mark.parametrize("lost", [False, OperationalError("gone")])
def test_a_projects_own_check_of_the_databases_decides(
    monkeypatch: pytest.MonkeyPatch, lost: bool | Exception
) -> None:
    def replaced() -> bool:
        if isinstance(lost, Exception):
            raise lost
        return lost

    monkeypatch.setattr(server, "check_databases", replaced)
    status, _ = checks.Run("database", checks.run_databases)()
    assert status == "database_failed"


def test_migrations_of_all_databases_are_counted() -> None:
    assert count_migrations() == count_migrations("default") > 0


@pytest.mark.parametrize("command", [["errand one"], ["errand", "one"]])
def test_commands_are_given_as_a_text_or_as_words(command: list[str], signals: Path) -> None:
    command_task([command, ["errand 'a b'"]])
    assert (signals / "errands").read_text().splitlines() == ["one", "a b"]


def test_a_command_that_fails_raises_what_it_has_raised_and_is_told() -> None:
    with Receiver() as receiver:
        loop = asyncio.new_event_loop()
        with pytest.raises(RuntimeError, match="the errand raised"):
            command_task([["errand raise"]], receiver.url, loop)
        loop.run_forever()
        loop.close()
        assert receiver.told() == [("startup", "failed")]
        assert "RuntimeError: the errand raised" in receiver.received[0]["traceback"]


def test_a_check_of_the_databases_that_raises_ends_the_wait_and_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise ValueError("no such check")

    monkeypatch.setattr(server, "check_databases", broken)
    with Receiver() as receiver:
        with pytest.raises(ValueError, match="no such check"):
            check_db_and_migrations(receiver.url)
        assert receiver.wait_for(1) == [("startup", "warning")]
    assert "Database command execution has failed with no such check" in caplog.text


def test_migrations_that_are_not_pending_let_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "count_migrations", lambda _alias: 0)
    check_db_and_migrations(None, None, apply_migration=False)


def test_probe_paths_are_literal_with_one_slash_in_front() -> None:
    typed = {"liveness_probe": "//al ive", "readiness_probe": "ready", "startup_probe": "/s/"}
    options, paths = sanitize_probes({**typed, "port": 1})
    assert paths == {
        "liveness_probe": "/alive",
        "readiness_probe": "/ready",
        "startup_probe": "/s/",
    }
    assert options == {**paths, "port": 1}


def test_options_that_do_not_go_together_are_an_error_of_a_command() -> None:
    assert issubclass(IncompatibleOptions, CommandError)


@pytest.mark.parametrize(
    ("value", "clean"), [(" a=b; Path=/ ", "a=b; Path=/"), ("  ", None), (None, None), ("x", "x")]
)
def test_values_of_headers_are_cleaned(value: str | None, clean: str | None) -> None:
    assert HurricaneWSGIContainer._sanitize_header_value(value) == clean  # noqa: SLF001


def test_there_is_no_container_any_more() -> None:
    with pytest.raises(HurricaneWSGIException, match=r"manage\.py serve"):
        HurricaneWSGIContainer(None, None)
