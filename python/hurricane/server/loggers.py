"""The loggers that users attach handlers to.

They are structlog's when structlog can be imported, and plain ``logging`` otherwise.
"""

import logging
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
