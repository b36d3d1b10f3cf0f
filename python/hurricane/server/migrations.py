"""Pending migrations of a database, and the lock under which one replica of many applies them."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hurricane import server
from hurricane.server.databases import aliases, named, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

# An advisory lock of PostgreSQL is a number: the bytes of a word that nobody else will choose.
LOCK_NUMBER = int.from_bytes(b"hurrican", "big")
# MySQL's locks are the whole server's; the database's name keeps two projects on it apart.
LOCK_NAME = "hurricane.migrations"
LOCK_NAME_LENGTH_MAX = 64
LOCK_SECONDS = 0.5


def count_migrations(alias: str | None = None) -> int:
    """How many migrations are pending on that database, over a connection of its own; or on all.

    Those of apps that the routers keep away from it do not count: nobody would apply them.
    """
    from django.db import router
    from django.db.migrations.executor import MigrationExecutor

    if alias is None:
        return sum(count_migrations(each) for each in aliases())
    with named(alias), opened(alias) as connection:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        return sum(router.allow_migrate(alias, migration.app_label) for migration, _ in plan)


def is_replica(alias: str) -> bool:
    """Whether migrations come to that database by replication, and cannot be applied to it."""
    with named(alias), opened(alias) as connection:
        if connection.settings_dict["TEST"].get("MIRROR"):
            return True
        if connection.vendor != "postgresql":
            return False
        return bool(answer(connection, "SELECT pg_is_in_recovery()"))


@contextmanager
def lock(alias: str, tell: Callable[[str], None]) -> Generator[None]:
    """Holds the database's migration lock, which its server gives back should we die.

    The lock has a connection of its own, because ``migrate`` may close the one that it uses. It
    is asked for again and again: a question that waits would not hear a signal.
    """
    with opened(alias) as connection:
        with named(alias):
            acquire(connection, lambda: tell(f'waiting for the migration lock of "{alias}"'))
        yield


def acquire(connection: Any, tell: Callable[[], None]) -> None:  # noqa: ANN401 - a backend's class
    """Returns when the connection has the lock; ``tell`` is called if somebody else has it."""
    attempt = ATTEMPTS.get(connection.vendor)
    if attempt is None:
        server.logger.warning(
            "%s has no lock for migrations: start one replica at a time", connection.display_name
        )
    elif not attempt(connection):
        tell()
        server.logger.info("Another replica holds the migration lock")
        while not attempt(connection):
            time.sleep(LOCK_SECONDS)


def attempt_postgresql(connection: Any) -> bool:  # noqa: ANN401 - a backend's own wrapper class
    """Takes the lock if nobody has it."""
    return bool(answer(connection, "SELECT pg_try_advisory_lock(%s)", LOCK_NUMBER))


def attempt_mysql(connection: Any) -> bool:  # noqa: ANN401 - as above
    """Takes the lock if nobody has it; NULL would be an error of the server's."""
    name = f"{LOCK_NAME}.{connection.settings_dict['NAME']}"[:LOCK_NAME_LENGTH_MAX]
    return answer(connection, "SELECT GET_LOCK(%s, 0)", name) == 1


ATTEMPTS: dict[str, Callable[[Any], bool]] = {
    "mysql": attempt_mysql,
    "postgresql": attempt_postgresql,
}


def answer(connection: Any, question: str, *parameters: object) -> object:  # noqa: ANN401 - as above
    """The first column of the first row."""
    with connection.cursor() as cursor:
        cursor.execute(question, parameters)
        value: object = cursor.fetchone()[0]
    return value
