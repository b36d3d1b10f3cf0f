"""The server's Python side: its logger, and what a project may replace or call.

Importing it needs no configured settings. ``check_databases`` is looked up here each time it is
called, so that a project can put another function in its place.
"""

from hurricane.server.databases import check_databases
from hurricane.server.loggers import logger
from hurricane.server.probes import sanitize_probes

__all__ = ["check_databases", "logger", "sanitize_probes"]
