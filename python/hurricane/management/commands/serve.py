"""``manage.py serve``: Django's system checks, then the server, in one process tree."""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hurricane import _core, checks, development, files, flags, project
from hurricane.fork import prepare_fork
from hurricane.loader import LoadError, describe
from hurricane.server.preparation import prepare

# The code of a wrong flag or setting, which code does not mend.
USAGE = 2


class Command(BaseCommand):
    """Serves the project until it is told to stop."""

    help = "Serves this project over HTTP, one core per worker, with probes for Kubernetes."

    def add_arguments(self, parser: CommandParser) -> None:
        """Adds the server's flags as the extension module defines them."""
        flags.add_to(parser)

    def execute(self, *args: Any, **options: Any) -> str | None:  # noqa: ANN401 - Django's signature
        """Runs system checks, then ``handle``; a signal ends both at once, a failure is kept."""
        _core.heed_signals()
        development.command_begins()
        try:
            return super().execute(*args, **options)
        except Exception as error:
            reason = str(error) if isinstance(error, CommandError) else describe(error)
            _core.last_words(flags.typed(options), known_settings(), reason)
            if is_developed(options) and getattr(error, "returncode", 1) != USAGE:
                development.show(error, sys.stderr)
                development.start_again(error)
            raise
        finally:
            _core.release_signals()

    def handle(self, *_args: str, **options: Any) -> None:  # noqa: ANN401 - Django's signature
        """Loads the application and serves it; exits with the server's code if that is not 0."""
        try:
            configured = flags.from_settings(settings)
        except flags.SettingError as error:
            raise CommandError(str(error), returncode=USAGE) from error
        try:
            code = _core.serve(
                project.load,
                flags.typed(options),
                configured,
                prepare,
                files.mounts,
                checks.collect,
                prepare_fork,
                project.name(),
            )
        except LoadError as error:
            raise CommandError(str(error)) from error
        if code in development.MENDED_BY_CODE and is_developed(options):
            development.start_again()
        if code != 0:
            sys.exit(code)


def is_developed(options: dict[str, Any]) -> bool:
    """Whether a start that fails is tried again. A reload has others who see to that."""
    return _core.is_done() and _core.develops(flags.typed(options), known_settings())


def known_settings() -> dict[str, str]:
    """The settings that are flags, or none of them when one cannot be a flag's."""
    try:
        return flags.from_settings(settings)
    except flags.SettingError:
        return {}
