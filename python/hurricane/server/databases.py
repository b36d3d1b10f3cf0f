"""Whether the project's databases can be reached, by a round trip to each.

Every call opens a connection of its own and closes it: an open connection says nothing about a
server that has died since, and one kept by a thread that ends would leak. A call bypasses
pools for the same reason. Connecting and waiting is bounded by the driver, because a thread that
waits on a host that has vanished would otherwise wait for many minutes after its return.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

ALIAS_TIMEOUT_SECONDS = 3
DUMMY_ENGINE = "django.db.backends.dummy"
# Drivers' own options, by vendor. What the project sets itself is left alone.
TIME_LIMITS: dict[str, dict[str, int]] = {
    "postgresql": {
        "connect_timeout": ALIAS_TIMEOUT_SECONDS,
        "tcp_user_timeout": ALIAS_TIMEOUT_SECONDS * 1000,
    },
    "mysql": {
        "connect_timeout": ALIAS_TIMEOUT_SECONDS,
        "read_timeout": ALIAS_TIMEOUT_SECONDS,
        "write_timeout": ALIAS_TIMEOUT_SECONDS,
    },
    "sqlite": {"timeout": ALIAS_TIMEOUT_SECONDS},
}


def aliases() -> list[str]:
    """The aliases in ``settings.DATABASES`` that stand for a database."""
    from django.db import connections

    return [
        alias
        for alias, database in connections.settings.items()
        if database["ENGINE"] != DUMMY_ENGINE
    ]


def reach() -> None:
    """Calls ``hurricane.server.check_databases``, which a project may have replaced.

    One that says false instead of raising has found a lost database as well.
    """
    from django.db import OperationalError

    from hurricane import server

    if server.check_databases() is False:
        raise OperationalError("hurricane.server.check_databases has returned False")


# The connection to ``default`` that was opened first, which says nothing of its server since.
kept: list[Any] = []
keeping = threading.Lock()


def reach_as_before() -> None:
    """As ``reach``, but the default function is content with an open connection to ``default``."""
    from django.db import connections

    from hurricane import server

    if server.check_databases is not check_databases:
        reach()
        return
    with keeping:
        if not kept:
            connection = connections.create_connection("default")
            connection.inc_thread_sharing()
            connection.ensure_connection()
            kept.append(connection)


def check_databases() -> bool:
    """Makes a round trip to each database; raises ``OperationalError`` naming the first lost.

    Returns true, for those who ask.
    """
    from django.db import Error, OperationalError

    for alias in aliases():
        try:
            round_trip(alias)
        except Error as error:
            raise OperationalError(f'database "{alias}": {error}') from error
    return True


def round_trip(alias: str) -> None:
    """Connects, asks for one row, and closes."""
    with opened(alias) as connection, connection.cursor() as cursor:
        cursor.execute(question(connection))
        cursor.fetchone()


@contextmanager
def opened(alias: str) -> Generator[Any]:
    """A connection of its own to that database, with time limits; it connects when it is used."""
    from django.db import connections

    connection = connections.create_connection(alias)
    connection.settings_dict = bounded(connection.settings_dict, connection.vendor)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def named(alias: str) -> Generator[None]:
    """Whoever cannot reach that database is told its alias."""
    from django.db import InterfaceError, OperationalError

    try:
        yield
    except (InterfaceError, OperationalError) as error:
        raise OperationalError(f'database "{alias}": {error}') from error


def bounded(database: dict[str, Any], vendor: str) -> dict[str, Any]:
    """A database's settings with time limits and without a pool."""
    # MySQL's own connector refuses options that it does not know.
    known = {} if "mysql.connector" in database["ENGINE"] else TIME_LIMITS.get(vendor, {})
    options = {**known, **database.get("OPTIONS", {})}
    options.pop("pool", None)
    return {**database, "OPTIONS": options}


def question(connection: Any) -> str:  # noqa: ANN401 - a backend's own wrapper class
    """A statement that needs no table. SQLite must be made to open its file."""
    if connection.vendor == "sqlite":
        return "SELECT count(*) FROM sqlite_master"
    return f"SELECT 1{connection.features.bare_select_suffix}"
