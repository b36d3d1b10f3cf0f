"""Django's checks as the process that answers probes runs them: one entry per function.

A check tagged ``readiness`` decides ``/ready``, one tagged ``liveness`` decides ``/alive``, and
the tag ``hurricane`` alone means readiness. Checks registered with ``deploy=True`` count as well:
they run for probes and not before the start. The databases are one more readiness check; a lost
database must not restart the pod, so it is never part of liveness.

``--compat 1.6`` brings back what decided a probe in Django-Hurricane 1.6.2: the databases decide
both probes, and the tag ``hurricane`` none; only the database ``default`` is looked at, which must
be there, over a connection that stays open.

Invariants:
- An entry's ``run`` never raises: whatever a check does becomes an outcome.
- It leaves no database connection open in the thread that ran it.
"""

from __future__ import annotations

import traceback
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from django.core.checks import CRITICAL, DEBUG, ERROR, INFO, WARNING
from django.core.checks.registry import registry
from django.db import InterfaceError, OperationalError, connections

from hurricane import _core, compat, server
from hurricane.server import databases
from hurricane.server.databases import aliases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from django.core.checks import CheckMessage

    from hurricane._core import Check, Outcome, Purpose

    CheckFunction: TypeAlias = Callable[..., Iterable[CheckMessage]]

PASSED: Outcome = ("passed", "")
# What a probe shows of a traceback: its end says most, and has room with the rest.
TRACEBACK_LENGTH_MAX = 1800
LEVELS = {
    CRITICAL: "CRITICALS",
    ERROR: "ERRORS",
    WARNING: "WARNINGS",
    INFO: "INFOS",
    DEBUG: "DEBUGS",
}


def collect() -> list[Check]:
    """Every check that decides a probe, the databases first, then by name."""
    entries: list[Check] = []
    if aliases() or compat.is_legacy():
        decided: list[Purpose] = ["readiness", "liveness"] if compat.is_legacy() else ["readiness"]
        entries += [("database", purpose, Run("database", run_databases)) for purpose in decided]
    functions: list[Any] = registry.get_checks(include_deployment_checks=True)
    for function in sorted(functions, key=name_of):
        name = name_of(function)
        run = Run(name, partial(run_function, function))
        entries += [(name, purpose, run) for purpose in purposes(function.tags)]
    return entries


def name_of(function: CheckFunction) -> str:
    """The check's import path."""
    unbound = getattr(function, "func", function)
    name = getattr(unbound, "__qualname__", type(unbound).__qualname__)
    return f"{unbound.__module__}.{name}"


def purposes(tags: Iterable[str]) -> list[Purpose]:
    """Which probes the tags decide."""
    given = set(tags)
    decided: list[Purpose] = []
    if "liveness" in given:
        decided.append("liveness")
    is_documented = "hurricane" in given and "liveness" not in given and not compat.is_legacy()
    if "readiness" in given or is_documented:
        decided.append("readiness")
    return decided


class Run:
    """One check, ready to be run again and again in any thread.

    It logs a check's exception with its traceback when it is not the one of the last run.
    """

    def __init__(self, name: str, run: Callable[[], Outcome]) -> None:
        self.name = name
        self.run = run
        self.raised = ""

    def __call__(self) -> Outcome:
        """Runs the check; every exception becomes an outcome."""
        raised = ""
        try:
            return self.run()
        except (OperationalError, InterfaceError) as error:
            return "database_failed", str(error) if _core.is_debug() else one_line(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a check may raise anything
            raised = f"{type(error).__name__}: {one_line(error)}"
            if raised != self.raised:
                server.logger.exception("check %s raised", self.name)
            if _core.is_debug():
                return "failed", traceback.format_exc()[-TRACEBACK_LENGTH_MAX:]
            return "failed", raised
        finally:
            self.raised = raised
            connections.close_all()


def run_databases() -> Outcome:
    """Asks ``hurricane.server`` for the function each time, so that it can be replaced there."""
    if compat.is_legacy():
        # Only a project's own function is asked: the default one looks at more than it did.
        databases.reach_as_before()
    else:
        databases.reach()
    return PASSED


def run_function(function: CheckFunction) -> Outcome:
    """Runs one of Django's check functions and judges the worst of its messages."""
    returned = function(app_configs=None, databases=list(connections))
    messages = [message for message in returned if not message.is_silenced()]
    serious = [message for message in messages if message.is_serious(ERROR)]
    if serious and _core.is_debug():
        return "failed", report(messages)
    if serious:
        return "failed", text_of(serious)
    return ("warned", text_of(messages)) if messages else PASSED


def text_of(messages: Iterable[CheckMessage]) -> str:
    """The messages on one line, each with its id."""
    return "; ".join(
        f"({message.id}) {one_line(message.msg)}" if message.id else one_line(message.msg)
        for message in messages
    )


def report(messages: Iterable[CheckMessage]) -> str:
    """The messages by level, as Django's own commands report them."""
    told = list(messages)
    groups = "".join(
        f"\n{title}:\n" + "\n".join(sorted(str(message) for message in group)) + "\n"
        for level, title in LEVELS.items()
        if (group := [message for message in told if bucket(message) == level])
    )
    return f"SystemCheckError: System check identified some issues:\n{groups}"


def bucket(message: CheckMessage) -> int:
    """The greatest of Django's levels that the message reaches."""
    return max((level for level in LEVELS if level <= message.level), default=DEBUG)


def one_line(text: object) -> str:
    """The text with every run of white space as one space."""
    return " ".join(str(text).split())
