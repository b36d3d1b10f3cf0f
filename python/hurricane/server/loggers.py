"""The loggers that users attach handlers to.

They are structlog's when structlog can be imported, and plain ``logging`` otherwise.
"""

import logging
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

STRUCTLOG_ENABLED = find_spec("structlog") is not None


def named(name: str) -> Any:  # noqa: ANN401 - structlog's loggers have no common type with logging's
    """The logger of that name in whichever library is used."""
    if STRUCTLOG_ENABLED:
        import structlog

        return structlog.get_logger(name)
    return logging.getLogger(name)


logger = named("hurricane.server.general")
access_log = named("hurricane.server.access")
app_log = named("hurricane.server.application")
metrics_log = named("hurricane.server.metrics")


class Lines(logging.Handler):
    """Hands lines to whoever takes them as a level and a text."""

    def __init__(self, take: Callable[[int, str], None]) -> None:
        super().__init__(logging.INFO)
        self.take = take

    def emit(self, record: logging.LogRecord) -> None:
        """Hands the line on, with its traceback if it has one."""
        self.take(record.levelno, self.format(record))


def send_to(take: Callable[[int, str], None] | None) -> None:
    """Gives the lines of ``logger`` to ``take`` alone; to Python's handlers without it."""
    if take is not None and not STRUCTLOG_ENABLED:
        logger.handlers = [Lines(take)]
        logger.propagate = False
        logger.setLevel(logging.INFO)
