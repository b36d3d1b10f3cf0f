"""For those who develop a project: which files it is made of, and a start that failed, once more.

The supervisor loads the project anew when one of these files changes. Before there is a supervisor,
or when it has given up, ``start_again`` waits for the change in the process that has failed.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import traceback
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from hurricane import _core
from hurricane.loader import LoadError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

FLAG = "--autoreload"
CODE = ["*.py"]
# How a server ends whose start may go better with other code: its workers died, or what has to be
# done before has failed.
MENDED_BY_CODE = frozenset({3, 5})

Place = tuple[str, bool, list[str], bool]


class Start:
    """How far this process has come."""

    # What goes wrong before the command has begun is nobody's but ours.
    awaits_command = False


def outline(static: Iterable[Path] = (), error: BaseException | None = None) -> _core.Outline:
    """Where the project's files are, and those that Django would reload for.

    The directory that was started from, with all below; those of other modules that are neither
    Python's nor installed; templates and translations; static files that the user has named; the
    files that an error speaks of.
    """
    roots = [project_root(), Path.cwd()]
    places: dict[tuple[str, str], Place] = {}

    def add(directory: Path, is_deep: bool, name: str, *, is_static: bool = False) -> None:
        text = str(directory)
        places[text, f"{name}{is_deep}{is_static}"] = (text, is_deep, [name], is_static)

    for root in roots:
        add(root, True, CODE[0])
    for directory in sorted({*loaded_directories(), *failed_directories(error)}):
        if not any(is_below(directory, root) for root in roots):
            add(directory, False, CODE[0])
    for directory, is_deep, name in of_django():
        add(directory, is_deep, name)
    for path in static:
        add(Path(path).absolute(), True, "*", is_static=True)
    return list(places.values()), [str(path) for path in written_by_django()]


def project_root() -> Path:
    """The directory of ``manage.py``, or the working directory."""
    script = Path(sys.argv[0])
    if script.suffix == ".py" and script.is_file() and not is_installed(script.resolve()):
        return script.resolve().parent
    return Path.cwd()


def loaded_directories() -> Iterator[Path]:
    """Directories of modules that people may be writing."""
    # Ours change with an installation, which needs a restart.
    own = f"{Path(__file__).parent}{os.sep}"
    seen: set[str] = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or file.startswith(own) or is_installed(Path(file)):
            continue
        directory = str(Path(file).parent)
        if directory not in seen:
            seen.add(directory)
            yield from {Path(directory).absolute(), Path(file).resolve().parent}


def failed_directories(error: BaseException | None) -> Iterator[Path]:
    """Directories of the files that an error and its causes speak of."""
    while error is not None:
        names = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
        if isinstance(error, SyntaxError) and error.filename:
            names.append(error.filename)
        files = (Path(name) for name in names if not name.startswith("<"))
        yield from (file.resolve().parent for file in files if not is_installed(file.resolve()))
        error = error.__cause__ or error.__context__


@cache
def installed_places() -> tuple[str, ...]:
    """Where Python and packages are installed, by every name that this has."""
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths |= {*site.getsitepackages(), site.getusersitepackages()}
    known = [Path(path) for path in paths if path]
    return tuple(f"{name}{os.sep}" for path in known for name in (path, path.resolve()))


def is_installed(path: Path) -> bool:
    """Whether a file came with Python or a package."""
    return "site-packages" in path.parts or str(path).startswith(installed_places())


def is_below(path: Path, directory: Path) -> bool:
    """Whether it is that directory or in it."""
    return path == directory or directory in path.parents


class Recorder:
    """Takes the place of Django's reloader, which is told of templates and translations."""

    def __init__(self) -> None:
        self.directories: list[tuple[Path, str]] = []

    def watch_dir(self, path: Path, glob: str) -> None:
        """Remembers it."""
        self.directories.append((Path(path).absolute(), glob))


def of_django() -> Iterator[tuple[Path, bool, str]]:
    """What receivers of Django's ``autoreload_started`` ask for, the project's own among them."""
    from django.utils.autoreload import autoreload_started

    recorder = Recorder()
    # Of a project that does not load some cannot know.
    autoreload_started.send_robust(sender=recorder)
    for path, glob in recorder.directories:
        if not path.is_dir() or is_installed(path.resolve()):
            continue
        *above, name = glob.split("/")
        ending = name.removeprefix("*")
        yield path, bool(above), "*" if any(char in ending for char in "*?[") else name


def written_by_django() -> Iterator[Path]:
    """What is collected or uploaded is nobody's source."""
    from django.conf import settings

    for name in ("STATIC_ROOT", "MEDIA_ROOT"):
        root = getattr(settings, name, None) if settings.configured else None
        if root:
            yield Path(root).absolute()


def collect_static() -> str | None:
    """Collects static files; returns why that has failed."""
    from hurricane.server.preparation import PreparationError, run_command

    try:
        run_command("collectstatic", ["--clear", "--no-input"])
    except PreparationError as error:
        return str(error)
    return None


def is_wanted(argv: list[str], settings: Mapping[str, str]) -> bool:
    """Whether flags, settings or the environment ask for it. ``argv`` may have Django's own."""
    typed = [word for word in argv if word == FLAG or word.startswith(f"{FLAG}=")]
    return _core.develops(typed, dict(settings))


def heed_failures() -> None:
    """From here on an exception that would end the process is shown, and a change is waited for."""
    Start.awaits_command = True
    sys.excepthook = show_and_start_again


def is_awaiting_command() -> bool:
    """Whether a failure now is one before the command, which is to be survived."""
    return Start.awaits_command


def show_and_start_again(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Takes the place of ``sys.excepthook``."""
    sys.__excepthook__(kind, error, trace)
    if isinstance(error, Exception) and Start.awaits_command:
        start_again(error)


def start_again(error: BaseException | None = None) -> NoReturn:
    """Waits for a change, and runs the program of this process from its beginning."""
    sys.stderr.write("hurricane: not serving; waiting for a change of the project's files\n")
    _core.heed_signals()
    _core.start_again(outline(error=error))


def command_begins() -> None:
    """From here on the command deals with what goes wrong."""
    Start.awaits_command = False


def show(error: Exception, stderr: TextIO) -> None:
    """Prints a failed start: what Django would say of it, after the exception behind it."""
    from django.core.management.base import CommandError, SystemCheckError

    if not isinstance(error, CommandError):
        traceback.print_exception(error, file=stderr)
        return
    cause: BaseException | None = error.__cause__
    while isinstance(cause, LoadError) and cause.__cause__ is not None:
        cause = cause.__cause__
    if cause is not None:
        traceback.print_exception(cause, file=stderr)
    said = str(error) if isinstance(error, SystemCheckError) else f"CommandError: {error}"
    stderr.write(f"{said}\n")
