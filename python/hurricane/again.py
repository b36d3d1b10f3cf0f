"""Runs a server's program once more, for a reload: ``python again.py ERRAND PROGRAM…``.

The supervisor starts this file with the words that it was started with itself: as a trial beside
it, or in its own process, where it goes on with the workers that are there. It knows what it is
for before it runs anything that the project's authors wrote, so that whatever goes wrong there is
an answer, and not the end of a server.
"""

from __future__ import annotations

import pkgutil
import runpy
import sys
import traceback
import types
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Options of the interpreter that have an argument; it may follow as a word of its own.
WITH_ARGUMENT = "WX"
LONG_WITH_ARGUMENT = "--check-hash-based-pycs"
CAUSE_MAX = 500


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separates the interpreter's options from the program: ``-m``, ``-c`` or a script, and on."""
    options: list[str] = []
    rest = list(words)
    while rest:
        word = rest[0]
        if word == "--":
            rest.pop(0)
            break
        if word == "-" or not word.startswith("-"):
            break
        if word.startswith("--"):
            count = 2 if word == LONG_WITH_ARGUMENT else 1
            options += rest[:count]
            del rest[:count]
            continue
        flags = word[1:]
        at = next((at for at, flag in enumerate(flags) if flag in "cm" + WITH_ARGUMENT), None)
        if at is None:
            options.append(rest.pop(0))
        elif flags[at] in WITH_ARGUMENT:
            count = 1 if flags[at + 1 :] else 2
            options += rest[:count]
            del rest[:count]
        else:
            options += [f"-{flags[:at]}"] if at else []
            argument = [flags[at + 1 :]] if flags[at + 1 :] else []
            return options, [f"-{flags[at]}", *argument, *rest[1:]]
    return options, rest


def command() -> tuple[list[str], list[str]]:
    """How to run the program of this process anew: the words before its errand, and after it."""
    options, program = split(sys.orig_argv[1:])
    return [sys.executable, *options, __file__], program


def run(program: Sequence[str]) -> None:
    """Does what the interpreter does with these words."""
    kind, *arguments = program
    on_path = not sys.flags.safe_path
    if kind == "-m":
        module, *rest = arguments
        sys.argv = ["-m", *rest]
        if on_path:
            sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    elif kind == "-c":
        text, *rest = arguments
        sys.argv = ["-c", *rest]
        if on_path:
            sys.path.insert(0, "")
        run_main(text, "<string>")
    else:
        sys.argv = list(program)
        script = Path(kind).absolute()
        if pkgutil.get_importer(str(script)) is not None:
            # A directory or an archive, which is on the path itself.
            runpy.run_path(str(script), run_name="__main__")
            return
        if on_path:
            sys.path.insert(0, str(script.resolve().parent))
        run_main(script.read_bytes(), str(script))


def run_main(source: str | bytes, file: str) -> None:
    """Runs a program's text as the module ``__main__``."""
    main = types.ModuleType("__main__")
    if not file.startswith("<"):
        main.__file__ = file
    sys.modules["__main__"] = main
    exec(compile(source, file, "exec"), main.__dict__)


def cause_of(error: BaseException) -> str:
    """Why a program did not come to serve, on one line."""
    from hurricane.loader import describe

    if isinstance(error, SystemExit):
        if isinstance(error.code, str):
            return error.code
        # Who printed an exception and left with a code was handling it.
        reason = error.__cause__ or error.__context__
        text = " ".join(str(reason).split()) if reason is not None else ""
        text = text or f"it ended with code {error.code or 0} before it would have served"
    else:
        text = describe(error)
    return text if len(text) <= CAUSE_MAX else text[: CAUSE_MAX - 1] + "…"


def main() -> None:
    """Runs the errand."""
    errand, *program = sys.argv[1:]
    # The interpreter has put our own directory there; the program's takes its place.
    if not sys.flags.safe_path:
        sys.path.pop(0)
    package = str(Path(__file__).resolve().parents[1])
    sys.path.insert(0, package)
    from hurricane import _core

    sys.path.remove(package)
    # What the interpreter would have said without us.
    own = len(sys.orig_argv) - len(sys.argv)
    sys.orig_argv = [*sys.orig_argv[:own], *program]
    _core.begin(errand, *command())
    if errand.startswith("keep"):
        sys.exit(_core.keep())
    if errand == "serve":
        from hurricane import development

        _core.heed_signals()
        development.heed_failures()
    # A file that is saved twice within a second may have the same size and time for the cache.
    sys.dont_write_bytecode |= any(word.startswith("--autoreload") for word in program)
    try:
        run(program)
    except BaseException as error:
        if not _core.is_done():
            if errand.startswith("succeed") and not isinstance(error, SystemExit):
                # The next line ends this program, and so what would print it.
                traceback.print_exc()
            _core.fail(cause_of(error))
        elif isinstance(error, SystemExit) and error.code not in {None, 0}:
            from hurricane import development

            # Of settings that cannot be read Django says that it does not know the command.
            if development.is_awaiting_command():
                development.start_again(error)
        raise
    if not _core.is_done():
        _core.fail("the program ended before it would have served")


if __name__ == "__main__":
    main()
