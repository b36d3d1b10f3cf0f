"""The loggers that users attach handlers to.

They are structlog's when structlog can be imported, and plain ``logging`` otherwise.
"""

import logging
from collections.abc import Callable, Generator
from typing import Any

try:
    import structlog
except ImportError:
    STRUCTLOG_ENABLED = False
else:
    STRUCTLOG_ENABLED = True


def named(name: str) -> Any:  # noqa: ANN401 - structlog's loggers have no common type with logging's
    """The logger of that name in whichever library is used."""
    return structlog.get_logger(name) if STRUCTLOG_ENABLED else logging.getLogger(name)


logger = named("hurricane.server.general")
access_log = named("hurricane.server.access")
app_log = named("hurricane.server.application")
metrics_log = named("hurricane.server.metrics")


def is_heard(logger: Any, level: int) -> bool:  # noqa: ANN401 - as above
    """Whether a line of that level would come to anybody's notice."""
    if STRUCTLOG_ENABLED:
        bound = logger.bind()
        is_enabled = getattr(bound, "is_enabled_for", None) or getattr(bound, "isEnabledFor", None)
        return bool(is_enabled(level)) if callable(is_enabled) else True
    if not logger.isEnabledFor(level):
        return False
    handlers = list(handlers_of(logger))
    if not handlers:
        return logging.lastResort is not None and level >= logging.lastResort.level
    return any(
        level >= handler.level and not isinstance(handler, logging.NullHandler)
        for handler in handlers
    )


def handlers_of(logger: logging.Logger) -> Generator[logging.Handler]:
    """Whoever gets what is logged there."""
    current: logging.Logger | None = logger
    while current is not None:
        yield from current.handlers
        current = current.parent if current.propagate else None


class Lines(logging.Handler):
    """Hands lines to whoever takes them as a level and a text."""

    def __init__(self, take: Callable[[int, str], None]) -> None:
        super().__init__(logging.INFO)
        self.take = take

    def emit(self, record: logging.LogRecord) -> None:
        """Hands the line on, with its traceback if it has one."""
        self.take(record.levelno, self.format(record))


def send_to(take: Callable[[int, str], None] | None, whose: Any = logger) -> None:  # noqa: ANN401
    """Gives the lines of a logger to ``take`` alone; to Python's handlers without it."""
    if take is not None and not STRUCTLOG_ENABLED:
        whose.handlers = [Lines(take)]
        whose.propagate = False
        whose.setLevel(logging.INFO)
