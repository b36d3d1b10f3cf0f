"""What a project does before it serves: its management commands, then its migrations.

It runs in a process of its own, forked for it before any worker, so that nothing it opens or
leaves behind is in a worker. ``SIGTERM`` ends it wherever it is, as it ends ``manage.py migrate``.

Invariants:
- ``prepare`` never raises: what goes wrong becomes one sentence and a traceback.
- A database that cannot be reached is waited for; a command or migration that fails is not tried
  again.
"""

from __future__ import annotations

import shlex
import time
import traceback
from typing import TYPE_CHECKING, TypeVar

from hurricane import compat, server
from hurricane.loader import describe
from hurricane.server import announcements, databases, loggers, migrations
from hurricane.server.databases import aliases

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    Tell = Callable[[str], None]

T = TypeVar("T")

# Between two looks at pending migrations, and the bounds of the time between two tries to reach a
# database: quick at first, because in a pod it is often the database's own start that is awaited.
LOOK_SECONDS = 1.0
RETRY_SECONDS_MIN = 0.25
RETRY_SECONDS_MAX = 5.0


class PreparationError(Exception):
    """The server must not start; the text is one sentence, the cause its ``__cause__``."""


class PreparationWarningError(PreparationError):
    """As that, but told as a warning."""


def prepare(
    commands: Sequence[Sequence[str]],
    check: bool,
    apply: bool,
    tell: Tell,
    lines: Callable[[int, str], None] | None,
) -> tuple[str, str, bool] | None:
    """Does all that was asked for; returns why the server must not start, and the traceback.

    With them comes whether that is told as a warning.

    ``tell`` is called with what is being waited for. ``lines`` takes log lines where Python's
    logging would drop them.
    """
    from django.db import connections

    loggers.send_to(lines)
    try:
        if commands:
            run_commands(commands, tell)
        if check:
            await_migrations(apply_migration=apply, tell=tell)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a project may raise anything
        sentence = str(error) if isinstance(error, PreparationError) else describe(error)
        cause = error.__cause__ or error
        is_warning = isinstance(error, PreparationWarningError)
        return sentence, "".join(traceback.format_exception(cause)), is_warning
    finally:
        connections.close_all()
    return None


def silent(_text: str) -> None:
    """Tells nobody."""


def command_task(
    commands: Sequence[Sequence[str]],
    webhook_url: str | None = None,
    loop: asyncio.AbstractEventLoop | None = None,
) -> None:
    """Runs management commands one after the other; raises what the first that fails has raised.

    Each is a name and its arguments, or one text as it is typed in a shell. A failure is told to
    ``webhook_url`` and stops ``loop``, where they are given.
    """
    try:
        run_commands([words(command) for command in commands], silent)
    except PreparationError as error:
        cause = error.__cause__ or error
        announce(cause, "failed", webhook_url, loop)
        raise cause from None


def words(command: Sequence[str]) -> Sequence[str]:
    """A command's words, also of one that is a single text."""
    return shlex.split(command[0]) if len(command) == 1 else command


def announce(
    error: BaseException,
    status: str,
    webhook_url: str | None,
    loop: asyncio.AbstractEventLoop | None,
) -> None:
    """Tells a webhook why the start has failed, and stops the loop that was to serve."""
    from hurricane.webhooks import StartupWebhook, WebhookStatus

    trace = "".join(traceback.format_exception(error))
    close_loop = loop is not None
    StartupWebhook().run(webhook_url, WebhookStatus(status), trace, close_loop, loop)


def run_commands(commands: Sequence[Sequence[str]], tell: Tell) -> None:
    """Runs management commands, each a name and its arguments, one after the other."""
    announcements.announce("Starting execution of management commands", event="")
    for name, *arguments in commands:
        announcements.announce(
            f"Starting execution of command {name} with arguments {arguments}", event=""
        )
        tell(f'running command "{name}"')
        begin = time.monotonic()
        run_command(name, arguments)
        seconds = round(time.monotonic() - begin, 4)
        announcements.announce(
            f"Command {name} was executed in {seconds} seconds",
            event="Command executed",
            command=[name, *arguments],
            time=seconds,
        )


def run_command(name: str, arguments: Sequence[str]) -> None:
    """Runs a management command; every way to fail is a :class:`PreparationError`."""
    from django.core.management import call_command

    try:
        call_command(name, *arguments)
    except SystemExit as error:
        if error.code in {None, 0}:
            return
        server.logger.exception("Command %s has failed", name)
        raise PreparationError(
            f'command "{name}" has failed: it exited with {error.code!r}'
        ) from error
    except Exception as error:
        server.logger.exception("Command %s has failed", name)
        raise PreparationError(f'command "{name}" has failed: {describe(error)}') from error


def check_db_and_migrations(
    webhook_url: str | None = None,
    loop: asyncio.AbstractEventLoop | None = None,
    apply_migration: bool = False,
) -> None:
    """Returns when every database can be reached and has no migration pending.

    With ``apply_migration`` pending migrations are applied; without, somebody else has to. A
    database that cannot be reached is waited for; any other failure is told to ``webhook_url``
    and stops ``loop``, where they are given, and is raised.
    """
    try:
        await_migrations(apply_migration=apply_migration, tell=silent)
    except Exception as error:  # noqa: BLE001 - a project's own check may raise anything
        cause = (error.__cause__ if isinstance(error, PreparationError) else None) or error
        announce(cause, "warning", webhook_url, loop)
        raise cause from None


def await_migrations(*, apply_migration: bool, tell: Tell) -> None:
    """Returns when every database can be reached and has no migration pending."""
    if compat.is_legacy():
        settle_as_before(apply_migration=apply_migration, tell=tell)
        return
    patiently(reach_databases, "checking the databases", tell)
    announcements.announce(
        "Database was checked successfully",
        event="Database check successful",
        database=", ".join(aliases()),
    )
    for alias in aliases():
        settle(alias, apply_migration=apply_migration, tell=tell)


def settle_as_before(*, apply_migration: bool, tell: Tell) -> None:
    """Returns when no migration is pending, of which only those of ``default`` are applied.

    Databases must be there.
    """
    try:
        reach_databases()
        announcements.announce(
            "Database was checked successfully",
            event="Database check successful",
            database=", ".join(aliases()),
        )
        for alias in aliases():
            settle(alias, apply_migration=apply_migration and alias == "default", tell=tell)
    except Exception as error:
        server.logger.warning("Database command execution has failed with %s", error)
        raise PreparationWarningError(f"looking for migrations has failed: {error}") from error


def reach_databases() -> None:
    """Calls what checks them, which a project may have replaced; raises if one is lost."""
    try:
        databases.reach()
    except Exception as error:
        if not is_loss(error):
            server.logger.warning("Database command execution has failed with %s", error)
        raise


def settle(alias: str, *, apply_migration: bool, tell: Tell) -> None:
    """Returns when no migration is pending on that database."""
    reported = 0
    looking = f'looking for pending migrations on "{alias}"'
    tell(looking)
    while pending := patiently(lambda: server.count_migrations(alias), looking, tell):
        is_news = pending != reported
        if is_news:
            announcements.announce(f"There are {pending} pending migrations{on(alias)}")
            if not apply_migration:
                announcements.announce(f"Migrations are pending{on(alias)}")
            reported = pending
        if apply_migration:
            patiently(lambda: apply(alias, tell), looking, tell)
        if not (apply_migration and is_news):
            tell(f'{counted(pending)} pending on "{alias}"')
            time.sleep(LOOK_SECONDS)
    announcements.announce(f"No pending migrations{on(alias)}")


def apply(alias: str, tell: Tell) -> None:
    """Applies what is pending once nobody else does; on a replica the primary's come by itself."""
    from django.core.management import call_command

    if migrations.is_replica(alias):
        return
    with migrations.lock(alias, tell):
        pending = server.count_migrations(alias)
        if not pending:
            return
        tell(f'applying {counted(pending)} on "{alias}"')
        announcements.announce(f"Applying migrations{on(alias)}")
        try:
            call_command("migrate", database=alias, interactive=False)
        except (Exception, SystemExit) as error:
            server.logger.exception("Database command execution has failed with %s", error)
            raise PreparationError(
                f'applying migrations on "{alias}" has failed: {describe(error)}'
            ) from error


def patiently(step: Callable[[], T], doing: str, tell: Tell) -> T:
    """Repeats a step until the databases that it needs can be reached; ``doing`` names it."""
    delay = RETRY_SECONDS_MIN
    said = ""
    while True:
        try:
            done = step()
        except Exception as error:
            if not is_loss(error) or compat.is_legacy():
                raise
            text = f"waiting for {one_line(error)}"
            if text != said:
                server.logger.warning("%s", text)
                tell(text)
                said = text
            time.sleep(delay)
            delay = min(delay * 2, RETRY_SECONDS_MAX)
        else:
            if said:
                tell(doing)
            return done


def is_loss(error: Exception) -> bool:
    """Whether it says that a database cannot be reached."""
    from django.db import InterfaceError, OperationalError

    return isinstance(error, InterfaceError | OperationalError)


def counted(pending: int) -> str:
    """The number with its noun."""
    return f"{pending} migration" if pending == 1 else f"{pending} migrations"


def on(alias: str) -> str:
    """The database's name behind a log line, where there are several."""
    return f' on "{alias}"' if len(aliases()) > 1 else ""


def one_line(text: object) -> str:
    """The text with every run of white space as one space."""
    return " ".join(str(text).split())
