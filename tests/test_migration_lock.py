"""Replicas that start together on one PostgreSQL server: one of them applies the migrations."""

import signal
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import pytest

import kubelet
import wire
from condition import wait_until
from conftest import Starter
from postgresql import PostgreSQL
from serving import Server, as_settings

LOCK = 'waiting for the migration lock of "default"'


@pytest.fixture
def postgresql() -> Generator[PostgreSQL]:
    """A server that a test has to start."""
    with tempfile.TemporaryDirectory(prefix="hurricane-test-") as directory:
        server = PostgreSQL(Path(directory))
        yield server
        server.end()


def replica(start: Starter, postgresql: PostgreSQL, signals: Path) -> Server:
    """One of several, which share their signals' directory."""
    env = as_settings(DATABASES={"default": postgresql.settings()})
    return start("--check-migrations-apply", env={**env, "STAGE_SIGNALS": str(signals)}, wait=False)


def awaited(server: Server) -> str:
    """What the replica waits for."""
    try:
        return kubelet.probe(server.probe_port, "/startup", timeout=5.0).response.text
    except (OSError, wire.Closed):
        return ""


def migrated(signals: Path) -> list[str]:
    """Who has run the migration, or begun to."""
    noted = signals / "migrated"
    return noted.read_text().splitlines() if noted.exists() else []


def test_of_replicas_that_start_together_one_applies(
    start_once: Starter, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    postgresql.start()
    (tmp_path / "migration-holds").touch()
    replicas = [replica(start_once, postgresql, tmp_path) for _ in range(2)]

    def said() -> list[str]:
        return [awaited(server) for server in replicas]

    wait_until(lambda: any(LOCK in text for text in said()), 20, LOCK)
    wait_until(lambda: migrated(tmp_path), 20, "the migration")
    applying = [text for text in said() if 'applying 4 migrations on "default"' in text]
    assert len(applying) == 1
    assert sum(LOCK in text for text in said()) == 1
    (tmp_path / "migration-open").touch()
    for server in replicas:
        server.wait_for_start()
        assert server.lines_with("No pending migrations")
    assert len(migrated(tmp_path)) == 1
    assert sum(len(server.lines_with("Applying migrations")) for server in replicas) == 1


def test_the_lock_of_a_replica_that_dies_is_free_and_waiting_for_it_ends_at_once(
    start_once: Starter, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    postgresql.start()
    (tmp_path / "migration-holds").touch()
    first = replica(start_once, postgresql, tmp_path)
    wait_until(lambda: migrated(tmp_path), 20, "the migration")
    second, third = (replica(start_once, postgresql, tmp_path) for _ in range(2))
    wait_until(lambda: LOCK in awaited(second) and LOCK in awaited(third), 20, LOCK)
    begin = time.monotonic()
    third.process.send_signal(signal.SIGTERM)
    assert third.wait() == 0
    assert time.monotonic() - begin < 5
    first.process.kill()
    (tmp_path / "migration-holds").unlink()
    second.wait_for_start()
    assert len(migrated(tmp_path)) == 2
    assert second.lines_with("Applying migrations")


def test_a_server_that_starts_later_is_waited_for(
    start_once: Starter, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    default = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "default")}
    env = as_settings(DATABASES={"default": default, "other": postgresql.settings()})
    server = start_once("--check-migrations-apply", env=env, wait=False)
    wait_until(lambda: 'waiting for database "other":' in awaited(server), 20, "its absence")
    assert "refused" in awaited(server)
    postgresql.start()
    server.wait_for_start()
    server.wait_for_ready()
