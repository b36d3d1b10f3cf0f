"""What projects look for in the log: lines word for word, or events where structlog is used.

Whatever the project's logging does, an announcement is seen: where no handler takes it, it is a
line of the server's own on stderr.
"""

from __future__ import annotations

import logging

from hurricane import _core
from hurricane.server import loggers


def announce(
    text: str, *, level: int = logging.INFO, event: str | None = None, **fields: object
) -> None:
    """Says ``text``; with structlog ``event`` and its fields, or nothing if that is empty."""
    if not through_logging(level, text, event, fields):
        _core.say(level, text)


def through_logging(level: int, text: str, event: str | None, fields: dict[str, object]) -> bool:
    """Says it through ``hurricane.server.general``; false when nobody would hear it there."""
    if not loggers.is_heard(loggers.logger, level):
        return False
    if not loggers.STRUCTLOG_ENABLED:
        loggers.logger.log(level, text)
    elif event is None:
        log_event(level, text, fields)
    elif event:
        log_event(level, event, fields)
    return True


def log_event(level: int, event: str, fields: dict[str, object]) -> None:
    """Hands an event to structlog, by the methods that all its loggers have."""
    methods = {logging.DEBUG: "debug", logging.WARNING: "warning", logging.ERROR: "error"}
    getattr(loggers.logger, methods.get(level, "info"))(event, **fields)
