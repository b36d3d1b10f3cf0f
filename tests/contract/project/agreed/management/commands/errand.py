"""``manage.py errand``: does what a test tells it."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agreed.views import note, wait_for


class Command(BaseCommand):
    """Notes its words, and then whatever the first of them asks for."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Words, and a flag to see it arrive."""
        parser.add_argument("words", nargs="+")
        parser.add_argument("--loud", action="store_true")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Runs the errand."""
        words: list[str] = options["words"]
        note("errands", "|".join([*words, *(["loud"] if options["loud"] else [])]))
        match words:
            case ["wait", gate]:
                note(f"{gate}-entered", "")
                wait_for(f"{gate}-open")
            case ["refuse"]:
                raise CommandError("the errand was refused")
            case ["exit", code]:
                sys.exit(int(code))
            case _:
                pass
