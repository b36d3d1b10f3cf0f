"""``manage.py errand``: does what a test tells it."""

import os
import signal
import subprocess
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from stage.views import inherited_signals, note, wait_for


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
                note(f"{gate}-entered", str(os.getpid()))
                wait_for(f"{gate}-open")
            case ["stubborn"]:
                signal.signal(signal.SIGTERM, lambda *_: note("heard", "SIGTERM"))
                note("stubborn-entered", str(os.getpid()))
                wait_for("stubborn-open")
            case ["refuse"]:
                raise CommandError("the errand was refused")
            case ["raise"]:
                raise RuntimeError("the errand raised")
            case ["exit", code]:
                sys.exit(int(code))
            case ["connect"]:
                connection.ensure_connection()
            case ["orphan"]:
                # A grandchild whose parent has ended.
                subprocess.run(["sh", "-c", "sleep 0.1 &"], check=True)
            case ["mask"]:
                note("mask", inherited_signals())
            case _:
                pass
