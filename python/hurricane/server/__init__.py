"""The server's Python side: its logger, and what a project may replace or call.

Importing it needs no configured settings. ``check_databases`` and ``count_migrations`` are looked
up here each time they are called, so that a project can put other functions in their places.
"""

import sys

from hurricane.server.databases import check_databases
from hurricane.server.loggers import logger
from hurricane.server.migrations import count_migrations
from hurricane.server.preparation import check_db_and_migrations, command_task
from hurricane.server.probes import sanitize_probes
from hurricane.server.statics import static_watch

__all__ = [
    "check_databases",
    "check_db_and_migrations",
    "command_task",
    "count_migrations",
    "logger",
    "sanitize_probes",
    "signal_handler",
    "static_watch",
]


def signal_handler(_signal: object, _frame: object) -> None:
    """Ends the program with exit code 0, for a project's own ``signal.signal``.

    The server itself does not use it: SIGTERM and SIGINT end it in order.
    """
    logger.error("\nprogram exiting gracefully")
    sys.exit(0)
