"""Django's checks as entries for probes, without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import django
import pytest
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.core.checks.registry import CheckRegistry
from django.db import OperationalError, connection, connections

from hurricane import checks, server
from hurricane.server.databases import bounded, check_databases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hurricane._core import Check, Outcome

django.setup()


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> CheckRegistry:
    """An empty registry in the place of Django's."""
    empty = CheckRegistry()
    monkeypatch.setattr(checks, "registry", empty)
    return empty


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A database file in a directory that can be lost."""
    directory = tmp_path / "place"
    directory.mkdir()
    monkeypatch.setitem(connections.settings["default"], "NAME", str(directory / "db.sqlite3"))
    connection.close()
    yield directory
    connection.close()


def named(entries: list[Check], name: str) -> list[tuple[str, Callable[[], Outcome]]]:
    return [(purpose, run) for found, purpose, run in entries if found.endswith(name)]


def test_tags_decide_the_probe(registry: CheckRegistry) -> None:
    for tags, expected in [
        (("readiness",), ["readiness"]),
        (("liveness",), ["liveness"]),
        (("hurricane",), ["readiness"]),
        (("hurricane", "liveness"), ["liveness"]),
        (("hurricane", "readiness"), ["readiness"]),
        (("readiness", "liveness"), ["liveness", "readiness"]),
        (("security",), []),
        ((), []),
    ]:
        assert checks.purposes(tags) == expected


def test_deploy_checks_count_and_untagged_ones_do_not(registry: CheckRegistry) -> None:
    def tagged(**_kwargs: Any) -> list[CheckMessage]:
        return []

    def untagged(**_kwargs: Any) -> list[CheckMessage]:
        return []

    registry.register(tagged, "liveness", deploy=True)
    registry.register(untagged)
    entries = checks.collect()
    assert [purpose for purpose, _ in named(entries, "<locals>.tagged")] == ["liveness"]
    assert named(entries, "untagged") == []
    assert entries[0][:2] == ("database", "readiness")


@pytest.mark.parametrize(
    ("messages", "outcome"),
    [
        ([], ("passed", "")),
        ([CheckWarning("low", id="a.W1")], ("warned", "(a.W1) low")),
        ([CheckWarning("low"), Error("out", id="a.E1")], ("failed", "(a.E1) out")),
        ([Error("two\nlines")], ("failed", "two lines")),
    ],
)
def test_errors_fail_and_warnings_do_not(
    registry: CheckRegistry, messages: list[CheckMessage], outcome: Outcome
) -> None:
    def check(**_kwargs: Any) -> list[CheckMessage]:
        return messages

    registry.register(check, "readiness")
    ((_, run),) = named(checks.collect(), ".check")
    assert run() == outcome


def test_silenced_messages_are_not_heard(
    registry: CheckRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(**_kwargs: Any) -> list[CheckMessage]:
        return [Error("quiet", id="a.E2")]

    monkeypatch.setattr(settings, "SILENCED_SYSTEM_CHECKS", ["a.E2"])
    registry.register(check, "readiness")
    ((_, run),) = named(checks.collect(), ".check")
    assert run() == ("passed", "")


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (OperationalError("server gone"), ("database_failed", "server gone")),
        (ValueError("wrong"), ("failed", "ValueError: wrong")),
        (SystemExit(3), ("failed", "SystemExit: 3")),
    ],
)
def test_what_a_check_raises_becomes_its_outcome(
    registry: CheckRegistry, error: BaseException, outcome: Outcome
) -> None:
    def check(**_kwargs: Any) -> list[CheckMessage]:
        raise error

    registry.register(check, "readiness")
    ((_, run),) = named(checks.collect(), ".check")
    assert run() == outcome


def test_an_exception_is_logged_once_as_long_as_it_stays_the_same(
    registry: CheckRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    texts = iter(["same", "same", "other", "", "same"])

    def check(**_kwargs: Any) -> list[CheckMessage]:
        if text := next(texts):
            raise ValueError(text)
        return []

    registry.register(check, "readiness")
    ((_, run),) = named(checks.collect(), ".check")
    logged = []
    for _ in range(5):
        run()
        logged.append(len(caplog.records))
    assert logged == [1, 1, 2, 2, 3]


def test_a_check_that_uses_the_database_leaves_no_connection_open(
    registry: CheckRegistry, database: Path
) -> None:
    def check(**_kwargs: Any) -> list[CheckMessage]:
        connection.ensure_connection()
        return []

    registry.register(check, "readiness")
    ((_, run),) = named(checks.collect(), ".check")
    assert run() == ("passed", "")
    assert connection.connection is None


def test_the_database_check_is_looked_up_when_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    run = checks.collect()[0][2]

    def lost() -> None:
        raise OperationalError("replaced")

    monkeypatch.setattr(server, "check_databases", lost)
    assert run() == ("database_failed", "replaced")


def test_a_database_that_is_lost_after_a_successful_round_trip_is_noticed(database: Path) -> None:
    check_databases()
    connection.ensure_connection()
    database.rename(database.with_name("lost"))
    with pytest.raises(OperationalError, match='database "default": unable to open'):
        check_databases()
    database.with_name("lost").rename(database)
    check_databases()


def test_a_file_that_is_no_database_is_noticed(database: Path) -> None:
    (database / "db.sqlite3").write_bytes(b"this is not a database" * 1000)
    with pytest.raises(OperationalError, match="not a database"):
        check_databases()


def test_without_databases_there_is_no_database_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["default"], "ENGINE", "django.db.backends.dummy")
    assert all(name != "database" for name, _, _ in checks.collect())
    check_databases()


def test_waiting_is_bounded_unless_the_project_bounds_it_itself() -> None:
    ours = bounded(
        {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"pool": True}}, "postgresql"
    )
    assert ours["OPTIONS"] == {"connect_timeout": 3, "tcp_user_timeout": 3000}
    theirs = {"ENGINE": "django.db.backends.mysql", "OPTIONS": {"connect_timeout": 9}}
    assert bounded(theirs, "mysql")["OPTIONS"]["connect_timeout"] == 9
    assert bounded({"ENGINE": "mysql.connector.django"}, "mysql")["OPTIONS"] == {}
