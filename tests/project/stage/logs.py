"""A logging handler that a test can stop."""

import logging

from stage.views import note, wait_for


class Gate(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes a record; one of the access log once a test has made the file ``log-open``."""

    def emit(self, record: logging.LogRecord) -> None:
        """Says that it has been called, and waits."""
        if record.name == "hurricane.server.access":
            note("log-entered", record.getMessage()[:200])
            wait_for("log-open")
        super().emit(record)
