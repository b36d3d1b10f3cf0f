"""The extension module: flags, supervisor, workers and probes, written in Rust."""

from collections.abc import Callable
from typing import Any, Literal, NoReturn, TypeAlias, TypedDict
from wsgiref.types import WSGIApplication

Purpose: TypeAlias = Literal["readiness", "liveness"]
Outcome: TypeAlias = tuple[Literal["passed", "warned", "failed", "database_failed"], str]
# Commands, whether to check migrations, whether to apply them; who is told what is waited for, and
# who takes log lines that Python's logging would drop. Returns a sentence and a traceback if the
# server must not start.
Prepare: TypeAlias = Callable[
    [list[list[str]], bool, bool, Callable[[str], None], Callable[[int, str], None] | None],
    tuple[str, str, bool] | None,
]
# Path of the URLs; where below it files of which directory are; names that change with their
# content; whether they are the project's own; whether somebody works on them.
FileMount: TypeAlias = tuple[str, list[tuple[str, str]], list[str], bool, bool]
# Directories with files that matter: the directory, whether all below belong to it, names of files,
# whether they are static files; then directories below them that are left out.
Outline: TypeAlias = tuple[list[tuple[str, bool, list[str], bool]], list[str]]
Check: TypeAlias = tuple[str, Purpose, Callable[[], Outcome]]

class Counted(TypedDict):
    """What the server has counted, over all workers."""

    requests: int
    in_flight: int
    answers: int
    seconds: float
    bytes: int
    startup_seconds: float | None

class Flag(TypedDict):
    """One flag of the server, as its one definition reports it."""

    name: str
    env: str | None
    default: str | None
    help: str
    value_name: str | None
    switch: bool
    choices: list[str] | None
    repeatable: bool

__version__: str

def flags() -> list[Flag]:
    """Lists every flag of ``serve``, in the order of its help."""

def is_legacy() -> bool:
    """Whether ``--compat 1.6`` was asked for; false until the flags are settled."""

def is_debug() -> bool:
    """Whether ``--debug`` was asked for; false until the flags are settled."""

class RequestParts:
    """The native half of a request object: what came, from which its attributes are made."""

    def __init__(self, *arguments: object, **keywords: object) -> None: ...

class LazyAttribute:
    """An attribute of a request that is made when it is first read.

    ``otherwise`` makes it of a request that was not made by the server.
    """

    def __init__(self, name: str, otherwise: Callable[[Any], object] | None = None, /) -> None: ...
    def __get__(self, request: object | None, owner: type | None = None) -> Any: ...  # noqa: ANN401

def whole_dict(request: Any) -> dict[str, Any]:  # noqa: ANN401
    """The ``__dict__`` of a request with everything that Django puts there at once."""

class DjangoEntry:
    """The way into Django below WSGI; made of what ``hurricane.interface.entry`` names."""

    def __init__(self, found: dict[str, object]) -> None: ...

class Rehearsal:
    """Django's entry without a connection, for tests."""

    def __init__(self, entry: DjangoEntry) -> None: ...
    def request(self, wire: bytes, environ: dict[str, Any]) -> Any:  # noqa: ANN401 - Django has no types
        """The request that came as these bytes, with this environ in the place of its own.

        None: the bytes are no request, or Django has to fill it by itself.
        """
    def respond(self, request: Any) -> Any:  # noqa: ANN401 - Django has no types
        """The response, with what is done around it: script prefix, ``request_started``."""
    def get_response(self, request: Any) -> Any:  # noqa: ANN401 - Django has no types
        """In the place of ``BaseHandler.get_response``."""
    def head(
        self,
        response: Any,  # noqa: ANN401
    ) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
        """Status, reason and fields that would be sent."""

def serve(
    load: Callable[[str], tuple[WSGIApplication | DjangoEntry, str]],
    argv: list[str],
    settings: dict[str, str],
    prepare: Prepare,
    mounts: Callable[[bool, bool], list[FileMount]],
    checks: Callable[[], list[Check]],
    prepare_fork: Callable[[], None],
    project: str,
) -> int:
    """Serves what ``load`` returns until it is told to stop, and returns the exit code.

    ``load`` is given auto, wsgi or django, and returns what to call, and why that.

    ``argv`` holds the flags that were typed, without a program's name. ``settings`` maps a flag
    as ``port``, ``PORT`` or ``HURRICANE_PORT`` to a value that loses against ``argv`` and wins
    against the environment. Where flags ask for it ``prepare`` is called before ``load``, in a
    process of its own; without, what ``load`` raises is raised here. ``mounts`` is called after
    ``load``, if static files or uploads are to be served: whether these, whether those. ``checks``
    is called once in the process that answers probes; ``prepare_fork`` in the supervisor each time
    before it forks.
    """

def develops(argv: list[str], settings: dict[str, str]) -> bool:
    """Tells whether ``--autoreload`` is among these flags, which may be wrong."""

def compress(directories: list[str], jobs: int) -> str:
    """Makes compressed copies of the files below these directories; returns what was done.

    Raises ``OSError`` when a file cannot be read or written. 0 ``jobs``: one for each CPU.
    """

def say(level: int, text: str) -> None:
    """Writes a line of the server's own, of a level as in :mod:`logging`."""

class Report:
    """Where a consumer says what it does. See ``hurricane.amqp.report``."""

    def broker(self, state: str, remark: str) -> None:
        """How far the consumer is with its broker."""

    def received(self) -> None:
        """A message was delivered."""

    def settled(self, how: str) -> None:
        """A message was ``acked``, ``rejected`` or ``requeued``."""

    def began(self, line: str) -> None:
        """The calling thread begins to run the message that ``line`` names."""

    def ended(self, has_failed: bool) -> None:
        """That message has ended."""

def consumer_flags() -> list[Flag]:
    """Lists every flag of ``consume``, its own first."""

def consume(
    begin: Callable[..., object],
    argv: list[str],
    settings: dict[str, str],
    checks: Callable[[], list[Check]],
    prepare_fork: Callable[[], None],
) -> int:
    """Consumes messages until it is told to stop, and returns the exit code.

    ``begin`` is called in the process that consumes: with the settled flags, a :class:`Report`,
    and who takes log lines that Python's logging would drop. What it returns has ``run``, which
    consumes and says why it cannot go on, and ``stop``. ``ValueError`` is raised where no broker
    is named. The rest is as for ``serve``.
    """

def consumer_last_words(argv: list[str], settings: dict[str, str], reason: str) -> None:
    """Says why the process ends before ``consume``, as ``last_words`` does."""

def last_words(argv: list[str], settings: dict[str, str], reason: str) -> None:
    """Says why the process ends before ``serve``: to Kubernetes, and to a webhook."""

def heed_signals() -> None:
    """From here on SIGTERM, SIGINT and SIGQUIT end this process at once, also as PID 1."""

def release_signals() -> None:
    """Brings back what these signals did before."""

def main(argv: list[str], load: Callable[[str], WSGIApplication]) -> int:
    """Runs the console script with ``argv`` (without the program's name); returns the exit code.

    What ``load`` raises is raised here.
    """

def begin(word: str, before: list[str], after: list[str]) -> None:
    """Begins the errand that a reload has started this process for.

    It is loading as a trial, loading to go on with the workers that are there, or keeping them
    without an application. ``before`` and ``after`` are the words of the command line around
    ``word``.
    """

def is_done() -> bool:
    """Whether the program has come to serve, so that a failure is no longer one of loading."""

def fail(cause: str) -> None:
    """Says why the program did not come to serve. Where workers are there it does not return."""

def start_again(outline: Outline) -> NoReturn:
    """Waits until a file has changed and runs the program of this process from its beginning."""

def keep() -> int:
    """Goes on with the workers without an application; returns the exit code."""

def post_webhook(url: str, json: bytes, seconds: float) -> tuple[str, bool] | None:
    """Posts JSON once, as the server sends its own webhooks, without the interpreter lock.

    Returns why it was not taken and whether another attempt may go better, or None if it was.
    A text that is no URL to send webhooks to is a ``ValueError``.
    """

def shown_url(url: str) -> str:
    """The URL without what may be secret, path and query; all of it with ``--compat 1.6``."""

def counted() -> Counted | None:
    """What the server has counted; nothing where it cannot be known, as in a management command."""
