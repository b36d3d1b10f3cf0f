"""``manage.py serve``: Django's system checks, then the server, in one process tree."""

from typing import Any

from django.core.management.base import CommandError

from hurricane import _core, checks, files, flags, project
from hurricane.fork import prepare_fork
from hurricane.loader import LoadError
from hurricane.management.supervised import SupervisedCommand
from hurricane.server.preparation import prepare


class Command(SupervisedCommand):
    """Serves the project until it is told to stop."""

    help = "Serves this project over HTTP, one core per worker, with probes for Kubernetes."
    has_predecessor = True
    known_flags = staticmethod(flags.of_server)
    last_words = staticmethod(_core.last_words)
    develops = staticmethod(_core.develops)

    def supervise(
        self, typed: list[str], configured: dict[str, str], _options: dict[str, Any]
    ) -> int:
        """Loads the application and serves it."""
        try:
            return _core.serve(
                project.load,
                typed,
                configured,
                prepare,
                files.mounts,
                checks.collect,
                prepare_fork,
                project.name(),
            )
        except LoadError as error:
            raise CommandError(str(error)) from error
