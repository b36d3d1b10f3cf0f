"""``manage.py serve``: Django's system checks, then the server, in one process tree."""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hurricane import _core, checks, flags, project
from hurricane.fork import prepare_fork
from hurricane.loader import LoadError


class Command(BaseCommand):
    """Serves the project until it is told to stop."""

    help = "Serves this project over HTTP, one core per worker, with probes for Kubernetes."

    def add_arguments(self, parser: CommandParser) -> None:
        """Adds the server's flags as the extension module defines them."""
        flags.add_to(parser)

    def handle(self, *_args: str, **options: Any) -> None:  # noqa: ANN401 - Django's signature
        """Loads the application and serves it; exits with the server's code if that is not 0."""
        try:
            configured = flags.from_settings(settings)
        except flags.SettingError as error:
            raise CommandError(str(error), returncode=2) from error
        try:
            application = project.load()
        except LoadError as error:
            raise CommandError(str(error)) from error
        code = _core.serve(
            application,
            flags.typed(options),
            configured,
            checks.collect,
            prepare_fork,
            project.name(),
        )
        if code != 0:
            sys.exit(code)
