"""The guard: whether Django is as we know it, and the application is Django's own handler.

Hurricane does natively what these functions of Django do. Each is compared with the versions that
were read: by its source, so that a release that changes it, or a package that puts another function
in its place, is noticed at the start and not by a wrong answer.
"""

from __future__ import annotations

import hashlib
import inspect
import threading
from contextvars import ContextVar
from functools import cached_property
from importlib import import_module
from pathlib import Path
from threading import get_ident
from types import FunctionType
from typing import TYPE_CHECKING, Any

from hurricane.interface.known import KNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator


def obstacle(application: object) -> str | None:
    """Why the application has to be called through WSGI; none if it need not."""
    from django.core.handlers.wsgi import WSGIHandler

    if type(application) is not WSGIHandler:
        return f"the application is {describe(application)}, not Django's own WSGI handler"
    own = sorted(name for name in vars(application) if hasattr(WSGIHandler, name))
    changed = [name for name in own if inspect.isroutine(getattr(WSGIHandler, name))]
    if changed:
        return f"the application has a {changed[0]} of its own"
    return next(strangers(), None) or strange_locals()


def strange_locals() -> str | None:
    """A sentence if asgiref keeps the values of a thread where we do not look for them."""
    from asgiref.local import Local
    from django.db import connections
    from django.urls import base

    strange = "this version of asgiref keeps the values of a thread in a way unknown to Hurricane"
    # Where they are depends on the kind: one of each is tried, with Django's looked at besides.
    trial: Any = Local()
    trial.value = "tried"
    values: list[Any] = [trial, vars(base)["_prefixes"], vars(base)["_urlconfs"]]
    variables: list[Any] = [getattr(getattr(it, "_storage", None), "_data", None) for it in values]
    if not all(isinstance(it, ContextVar) for it in variables):
        return strange
    kept: Any = variables[0].get()
    data = kept if isinstance(kept, dict) else getattr(kept, "data", None)
    owner = get_ident() if isinstance(kept, dict) else getattr(kept, "thread_id", None)
    if data != {"value": "tried"} or owner != get_ident():
        return strange
    critical: Any = Local(thread_critical=True)
    critical.value = "tried"
    tables: list[Any] = [critical, vars(connections)["_connections"]]
    storages = [getattr(it, "_storage", None) for it in tables]
    if not all(isinstance(it, threading.local) for it in storages):
        return strange
    return None if vars(storages[0]) == {"value": "tried"} else strange


def describe(application: object) -> str:
    """An application's class or function, for a sentence."""
    named = application if hasattr(application, "__qualname__") else type(application)
    kind = "" if named is application else "a "
    module = getattr(named, "__module__", None) or "unknown"
    return f"{kind}{module}.{getattr(named, '__qualname__', type(application).__name__)}"


def strangers() -> Iterator[str]:
    """A sentence for each function that is not as we know it."""
    for path, hashes in KNOWN.items():
        module_name, _, name = path.partition(":")
        try:
            found = resolve(module_name, name)
        except (ImportError, AttributeError):
            yield f"this version of Django has no {name} in {module_name}"
            continue
        function = function_of(found)
        if function is None or function.__globals__.get("__name__") != module_name:
            yield f"{name} was replaced by {origin(found)}"
        elif digest(function) not in hashes:
            yield f"{name} of this version of Django is unknown to this version of Hurricane"


def resolve(module_name: str, name: str) -> object:
    """What a class has under that name, not what its base has."""
    found: object = import_module(module_name)
    for part in name.split("."):
        found = vars(found)[part] if part in vars(found) else getattr(found, part)
    return found


def function_of(found: object) -> FunctionType | None:
    """The function behind an attribute of a class."""
    if isinstance(found, property):
        found = found.fget
    elif hasattr(type(found), "__get__") and hasattr(found, "func"):
        found = found.func
    return found if isinstance(found, FunctionType) else None


def origin(found: object) -> str:
    """The module that something comes from."""
    function = function_of(found)
    if function is not None:
        return str(function.__globals__.get("__name__"))
    return str(getattr(type(found), "__module__", "unknown"))


def digest(function: FunctionType) -> str:
    """A short hash of a function's source; empty if that cannot be read."""
    code = function.__code__
    lines = Source.of(code.co_filename).lines
    first = code.co_firstlineno - 1
    if not 0 <= first < len(lines):
        return ""
    depth = indentation(lines[first])
    last = first + 1
    while last < len(lines) and is_inside(lines[last], depth, lines[last - 1]):
        last += 1
    text = "\n".join(line.rstrip() for line in lines[first:last] if line.strip())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_inside(line: str, depth: int, before: str) -> bool:
    """Whether a line belongs to a function whose first line is indented by ``depth``."""
    if not line.strip() or indentation(line) > depth:
        return True
    # The end of a signature, and what follows a decorator.
    return line.strip().startswith(")") or before.strip().startswith("@")


def indentation(line: str) -> int:
    """The spaces before a line."""
    return len(line) - len(line.lstrip())


class Source:
    """A file of Django's, read once."""

    files: dict[str, Source] = {}  # noqa: RUF012 - shared on purpose

    def __init__(self, filename: str) -> None:
        self.filename = filename

    @classmethod
    def of(cls, filename: str) -> Source:
        """The file of that name."""
        return cls.files.setdefault(filename, cls(filename))

    @cached_property
    def lines(self) -> list[str]:
        """Its lines; none if it cannot be read."""
        try:
            return Path(self.filename).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return []
