"""The server's Python side: its logger, and what a project may replace or call.

Importing it needs no configured settings. ``check_databases`` and ``count_migrations`` are looked
up here each time they are called, so that a project can put other functions in their places.
"""

from hurricane.server.databases import check_databases
from hurricane.server.loggers import logger
from hurricane.server.migrations import count_migrations
from hurricane.server.preparation import check_db_and_migrations, command_task
from hurricane.server.probes import sanitize_probes

__all__ = [
    "check_databases",
    "check_db_and_migrations",
    "command_task",
    "count_migrations",
    "logger",
    "sanitize_probes",
]
