"""Events as structlog shows them by default."""

import re

TIME = "2026-11-22 00:00:00 "


def parsed(line: str) -> tuple[str, dict[str, str]]:
    """Event and fields of a line."""
    text, *fields = re.split(r"\s+(?=[a-z_]+=)", line)
    return text[len(TIME) :], dict(field.split("=", 1) for field in fields)
