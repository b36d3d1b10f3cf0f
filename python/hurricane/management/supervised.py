"""What commands share that run until they are told to stop, in one tree of processes."""

from __future__ import annotations

import sys
import traceback
from typing import Any, ClassVar

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hurricane import _core, development, flags, legacy
from hurricane.loader import describe
from hurricane.server.exceptions import IncompatibleOptions

# The code of a wrong flag or setting, which code does not mend.
USAGE = 2
# That of an exception.
FAILED = 1


class UsageError(CommandError):
    """A flag or setting is wrong, which code does not mend."""


class SupervisedCommand(BaseCommand):
    """Runs system checks, then what :meth:`supervise` runs, with the flags of ``known_flags``."""

    # The flags that it has.
    known_flags: ClassVar[staticmethod[[], list[_core.Flag]]]
    # Whether its flags are those of Django-Hurricane 1.6.2, and may mean what they meant there.
    has_predecessor: ClassVar[bool] = False
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
            is_usage = isinstance(error, IncompatibleOptions | UsageError)
            if isinstance(error, IncompatibleOptions) and self._is_legacy(options):
                error.returncode = FAILED
                traceback.print_exc()
            reason = str(error) if isinstance(error, CommandError) else describe(error)
            self.last_words(*self._known(options), reason)
            if self._is_developed(options) and not is_usage:
                development.show(error, sys.stderr)
                development.start_again(error)
            raise
        finally:
            _core.release_signals()

    def handle(self, *_args: str, **options: Any) -> None:  # noqa: ANN401 - Django's signature
        """Supervises; exits with the server's code if that is not 0."""
        try:
            typed, configured = self._typed(options), self._configured(options)
        except (flags.FlagError, flags.SettingError) as error:
            raise UsageError(str(error), returncode=self._usage(options)) from error
        code = self.supervise(typed, configured, options)
        if code in development.MENDED_BY_CODE and self._is_developed(options):
            development.start_again()
        if code != 0:
            sys.exit(self._usage(options) if code == USAGE else code)

    def _typed(self, options: dict[str, Any]) -> list[str]:
        is_legacy = self._is_legacy(options)
        typed = flags.typed(options, self.known_flags(), is_legacy=is_legacy)
        if is_legacy and legacy.reloads(options, self._configured(options)):
            typed.append("--autoreload=true")
        return typed

    def _configured(self, options: dict[str, Any]) -> dict[str, str]:
        is_legacy = self._is_legacy(options)
        return flags.from_settings(settings, self.known_flags(), is_legacy=is_legacy)

    def _is_legacy(self, options: dict[str, Any]) -> bool:
        """Whether flags and settings mean what they meant to Django-Hurricane 1.6.2."""
        return self.has_predecessor and legacy.is_wanted(options, settings)

    def _usage(self, options: dict[str, Any]) -> int:
        """The exit code of what is wrong; it was that of any exception."""
        return FAILED if self._is_legacy(options) else USAGE

    def _is_developed(self, options: dict[str, Any]) -> bool:
        """Whether a start that fails is tried again. A reload has others who see to that."""
        return _core.is_done() and self.develops(*self._known(options))

    def _known(self, options: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
        """Typed flags, and settings that are flags; none of them when one cannot be."""
        try:
            return self._typed(options), self._configured(options)
        except (flags.FlagError, flags.SettingError):
            return [], {}
