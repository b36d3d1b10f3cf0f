"""What commands share that run until they are told to stop, in one tree of processes."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hurricane import _core, development, flags
from hurricane.loader import describe

# The code of a wrong flag or setting, which code does not mend.
USAGE = 2


class SupervisedCommand(BaseCommand):
    """Runs system checks, then what :meth:`supervise` runs, with the flags of ``known_flags``."""

    # The flags that it has.
    known_flags: ClassVar[staticmethod[[], list[_core.Flag]]]
    # Given the typed flags, the settings and why the process ends: tells who wants to know.
    last_words: ClassVar[staticmethod[[list[str], dict[str, str], str], None]]
    # Given the typed flags and the settings: whether code is being written.
    develops: ClassVar[staticmethod[[list[str], dict[str, str]], bool]]

    def supervise(
        self, typed: list[str], configured: dict[str, str], options: dict[str, Any]
    ) -> int:
        """Runs until it is told to stop, with typed flags and settings; returns the exit code."""
        raise NotImplementedError

    def add_arguments(self, parser: CommandParser) -> None:
        """Adds the flags as the extension module defines them."""
        flags.add_to(parser, self.known_flags())

    def execute(self, *args: Any, **options: Any) -> str | None:  # noqa: ANN401 - Django's signature
        """Runs system checks, then ``handle``; a signal ends both at once, a failure is kept."""
        _core.heed_signals()
        development.command_begins()
        try:
            return super().execute(*args, **options)
        except Exception as error:
            reason = str(error) if isinstance(error, CommandError) else describe(error)
            self.last_words(self._typed(options), self._known_settings(), reason)
            if self._is_developed(options) and getattr(error, "returncode", 1) != USAGE:
                development.show(error, sys.stderr)
                development.start_again(error)
            raise
        finally:
            _core.release_signals()

    def handle(self, *_args: str, **options: Any) -> None:  # noqa: ANN401 - Django's signature
        """Supervises; exits with the server's code if that is not 0."""
        try:
            configured = flags.from_settings(settings, self.known_flags())
        except flags.SettingError as error:
            raise CommandError(str(error), returncode=USAGE) from error
        code = self.supervise(self._typed(options), configured, options)
        if code in development.MENDED_BY_CODE and self._is_developed(options):
            development.start_again()
        if code != 0:
            sys.exit(code)

    def _typed(self, options: dict[str, Any]) -> list[str]:
        return flags.typed(options, self.known_flags())

    def _is_developed(self, options: dict[str, Any]) -> bool:
        """Whether a start that fails is tried again. A reload has others who see to that."""
        return _core.is_done() and self.develops(self._typed(options), self._known_settings())

    def _known_settings(self) -> dict[str, str]:
        """The settings that are flags, or none of them when one cannot be a flag's."""
        try:
            return flags.from_settings(settings, self.known_flags())
        except flags.SettingError:
            return {}
