"""What happened beside the answers: signals, log lines, things that were closed."""

import logging

LINES: list[str] = []


def note(line: str) -> None:
    """Writes a line."""
    LINES.append(line)


class Handler(logging.Handler):
    """Notes what Django logs."""

    def emit(self, record: logging.LogRecord) -> None:
        """Notes a record, and the exception's type."""
        status = getattr(record, "status_code", None)
        raised = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        note(f"{record.name} {record.levelname} {record.getMessage()} {status} {raised}")
