"""``manage.py compress_static``: compressed copies of what ``collectstatic`` has collected."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hurricane import _core


class Command(BaseCommand):
    """Makes ``NAME.zst``, ``NAME.br``, ``NAME.gz`` beside each ``NAME`` that they make shorter."""

    help = (
        "Makes compressed copies (.zst, .br, .gz) of the files in STATIC_ROOT, which serve "
        "--static sends to those who accept them. To be run after collectstatic; what is up to "
        "date is left alone."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Adds the directories that are compressed instead, and the number of threads."""
        parser.add_argument("directories", nargs="*", metavar="DIRECTORY", help="not STATIC_ROOT")
        parser.add_argument("--jobs", type=int, default=0, help="threads; 0 for one per CPU")

    def handle(self, *_args: str, **options: Any) -> None:  # noqa: ANN401 - Django's signature
        """Compresses, and says what was done."""
        if options["jobs"] < 0:
            raise CommandError("--jobs cannot be negative")
        directories = options["directories"] or [static_root()]
        try:
            report = _core.compress([str(path) for path in directories], options["jobs"])
        except OSError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(report)


def static_root() -> Path:
    """Where ``collectstatic`` puts the files."""
    root = settings.STATIC_ROOT
    if not root or not Path(root).is_dir():
        raise CommandError(
            f"settings.STATIC_ROOT is {root}, which is no directory; "
            'run "manage.py collectstatic" first, or name directories'
        )
    return Path(root)
