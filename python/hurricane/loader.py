"""Finds the WSGI callable that a name such as ``shop.wsgi:application`` stands for.

Whatever goes wrong becomes a :class:`LoadError` whose text is one sentence: what was asked for,
why it cannot be had, and what to change. The exception behind it stays its ``__cause__``.
"""

import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import cast
from wsgiref.types import WSGIApplication

DEFAULT_ATTRIBUTE = "application"


class LoadError(Exception):
    """The application cannot be loaded; the text names the cause and the remedy."""


def load(target: str) -> WSGIApplication:
    """Loads ``module:attribute`` with the working directory on ``sys.path``.

    The attribute may be dotted, and is ``application`` when it is left out.
    """
    directory = str(Path.cwd())
    if directory not in sys.path:
        sys.path.insert(0, directory)
    module_name, _, attribute = target.partition(":")
    return find(target, module_name, attribute or DEFAULT_ATTRIBUTE)


def find(target: str, module_name: str, attribute: str) -> WSGIApplication:
    """Imports ``module_name`` and takes its ``attribute``; ``target`` is what the user wrote."""
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise LoadError(
            f'cannot load "{target}": "{module_name}" is not a module name; '
            'write it as "package.module:attribute"'
        )
    found: object = run_import(target, module_name)
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise LoadError(
                f'cannot load "{target}": module "{module_name}" has no attribute "{attribute}"; '
                "name the WSGI callable after the colon"
            ) from error
    if not callable(found):
        raise LoadError(
            f'cannot load "{target}": it is of type {type(found).__name__}, not a WSGI callable; '
            "name a callable that takes environ and start_response"
        )
    return cast("WSGIApplication", found)


def run_import(target: str, module_name: str) -> object:
    """Imports a module; every way to fail is a :class:`LoadError`."""
    return attempt(f'cannot load "{target}"', module_name, lambda: import_module(module_name))


def attempt(failure: str, module_name: str, step: Callable[[], object]) -> object:
    """Runs a step that executes the user's code; ``failure`` begins the sentence if it raises."""
    try:
        return step()
    except (Exception, SystemExit) as error:
        if is_absent(error, module_name):
            raise LoadError(
                f'{failure}: there is no module "{cast("ImportError", error).name}" in '
                f"{Path.cwd()} or on the Python path; start in the project's directory or "
                "correct the name"
            ) from error
        raise LoadError(
            f"{failure}: it raised {describe(error)}; correct that and start again"
        ) from error


def is_absent(error: BaseException, module_name: str) -> bool:
    """Whether the module itself (or a package above it) is missing, not one that it imports."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return False
    return module_name == error.name or module_name.startswith(f"{error.name}.")


def describe(error: BaseException) -> str:
    """Names an exception, its text, and the line that raised it, on one line."""
    text = " ".join(str(error).split())
    named = f"{type(error).__name__}: {text}" if text else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    outside = [frame for frame in frames if is_users_file(frame.filename)]
    if not outside or isinstance(error, SyntaxError):
        return named
    return f"{named} ({outside[-1].filename}, line {outside[-1].lineno})"


def is_users_file(filename: str) -> bool:
    """Whether a frame is outside the import system and this file."""
    return not filename.startswith("<") and filename != __file__ and "importlib" not in filename
