"""What flags, settings and variables meant to Django-Hurricane 1.6.2 (``--compat 1.6``).

This is what has to be known before flags are settled: how the command line is read, which settings
and variables count, and what they say. What is decided later is in the extension module (one table,
``behaviour.rs``), and where Python decides it, it asks :func:`hurricane.compat.is_legacy`.
"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NAME = "COMPAT"
VARIABLE = "HURRICANE_COMPAT"
VERSIONS = frozenset({"1.6", "1.6.2"})
# Flags that have always been there, by the names of their settings.
FLAGS = frozenset(
    {
        "AUTORELOAD",
        "CHECK_MIGRATIONS",
        "CHECK_MIGRATIONS_APPLY",
        "COMMAND",
        "DEBUG",
        "DEBUGGER",
        "DEBUGGER_PORT",
        "LIVENESS_PROBE",
        "MAX_BODY_SIZE",
        "MAX_BUFFER_SIZE",
        "MAX_LIFETIME",
        "MAX_MEMORY",
        "MEDIA",
        "METRICS",
        "NO_METRICS",
        "NO_PROBE",
        "PORT",
        "PROBE_PORT",
        "PYCHARM_HOST",
        "PYCHARM_PORT",
        "READINESS_PROBE",
        "REQ_QUEUE_LEN",
        "STARTUP_PROBE",
        "STATIC",
        "STATIC_WATCH",
        "WEBHOOK_URL",
        "WORKERS",
    }
)
DEBUGGERS = ("debugger", "pycharm_host")


def is_wanted(options: Mapping[str, object], settings: object) -> bool:
    """Whether ``--compat 1.6`` is given: typed, else in the settings, else in the environment."""
    sources = (
        options.get(NAME.lower()),
        getattr(settings, VARIABLE, None),
        os.environ.get(VARIABLE),
    )
    given = next((source for source in sources if source is not None), "")
    return str(given).lower() in VERSIONS


def is_default(name: str, text: str, default: str | None) -> bool:
    """Whether a typed value counted as not given, because it is the default."""
    return name in FLAGS and text == default


def command(value: str) -> str:
    """A command that was split at spaces, as one that is split as by a shell."""
    return shlex.join(value.split())


def is_prefixed(name: str) -> bool:
    """Whether the setting with the prefix is that of the flag."""
    return name not in FLAGS


def turned_on(switches: Iterable[str]) -> list[str]:
    """Those of the switches that variables turn on: any text but a number that is zero did."""
    return [
        name
        for name in switches
        if name in FLAGS and is_on(os.environ.get(f"HURRICANE_{name}", ""))
    ]


def is_on(text: str) -> bool:
    """Whether a variable's text turned a switch on."""
    try:
        return int(text) != 0
    except ValueError:
        return bool(text)


def reloads(options: Mapping[str, object], values: Mapping[str, str]) -> bool:
    """Whether Tornado's debugging, which Django's ``DEBUG`` turned on, reloaded code."""
    if "autoreload" in options or "AUTORELOAD" in values:
        return False
    is_debugged = any(name in options or name.upper() in values for name in DEBUGGERS)
    debugs = options.get("debug", values.get("DEBUG", values.get("HURRICANE_DEBUG", "")))
    return str(debugs).lower() in {"1", "on", "true", "yes"} and not is_debugged
