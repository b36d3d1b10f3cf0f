"""The access log in Python: a line for each answer, as the extension module gives it.

With :mod:`logging` a line is ``200 GET /path?query (127.0.0.1) 8.33ms``. With structlog it is an
event ``TX GET /path 8.33ms`` with its parts as fields. Texts of clients are escaped already.

Invariants:
- Nothing is imported that needs configured settings.
- What nobody listens to is not even offered: ``heard`` is asked once a second.
"""

from __future__ import annotations

import logging
from typing import TypeAlias

from hurricane._core import __version__
from hurricane.server import loggers
from hurricane.server.loggers import STRUCTLOG_ENABLED, access_log

LEVELS = (logging.INFO, logging.WARNING, logging.ERROR)
# What structlog's events say where a request has no such header.
ABSENT = "n/a"

# Status, method, path, target, who asked, milliseconds, identifier, traceparent.
Answer: TypeAlias = tuple[int, str, str, str, str, float, str | None, str | None]


def heard() -> tuple[bool, bool, bool]:
    """Whether anybody listens to lines of level info, of level warning, of level error."""
    info, warning, error = (loggers.is_heard(access_log, level) for level in LEVELS)
    return info, warning, error


def write_plain(answer: Answer) -> None:
    """Logs an answer as one line."""
    status, method, _path, target, peer, milliseconds, _request_id, _traceparent = answer
    level = logging.INFO if status < 400 else logging.WARNING if status < 500 else logging.ERROR
    access_log.log(level, "%d %s %.2fms", status, f"{method} {target} ({peer})", milliseconds)


def write_event(answer: Answer) -> None:
    """Logs an answer as an event with fields."""
    status, method, path, _target, peer, milliseconds, request_id, traceparent = answer
    tell = (
        access_log.info
        if status < 400
        else access_log.warning
        if status < 500
        else access_log.error
    )
    tell(
        f"TX {method} {path} {round(milliseconds, 2)}ms",
        hurricane=__version__,
        protocol="http",
        method=method,
        path=path,
        status=status,
        request_time=milliseconds,
        remote_ip=peer,
        id=request_id or ABSENT,
        traceparent=traceparent or ABSENT,
    )


write = write_event if STRUCTLOG_ENABLED else write_plain


def lost(count: int) -> None:
    """Logs that there are lines missing here."""
    access_log.warning("%d lines were dropped: they could not be written fast enough", count)
