"""``manage.py consume``: a consumer of AMQP messages, supervised and probed as a server is."""

from __future__ import annotations

import inspect
import logging
import sys
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.module_loading import import_string

from hurricane import _core, checks, development, flags
from hurricane.amqp import logger
from hurricane.fork import prepare_fork
from hurricane.loader import describe
from hurricane.server import loggers

if TYPE_CHECKING:
    from collections.abc import Callable

    from hurricane.amqp.basehandler import _AMQPConsumer
    from hurricane.amqp.report import Report
    from hurricane.amqp.worker import Client, Options

# The code of a wrong flag or setting, which code does not mend.
USAGE = 2


class Command(BaseCommand):
    """Consumes messages until it is told to stop."""

    help = "Consumes AMQP messages with a handler of this project, with probes for Kubernetes."

    def add_arguments(self, parser: CommandParser) -> None:
        """Adds the flags as the extension module defines them."""
        parser.add_argument("handler", help="The consumer's class, such as shop.amqp.OrderHandler")
        flags.add_to(parser, flags.of_consumer())

    def execute(self, *args: Any, **options: Any) -> str | None:  # noqa: ANN401 - Django's signature
        """Runs system checks, then ``handle``; a signal ends both at once, a failure is kept."""
        _core.heed_signals()
        development.command_begins()
        try:
            return super().execute(*args, **options)
        except Exception as error:
            reason = str(error) if isinstance(error, CommandError) else describe(error)
            typed = flags.typed(options, flags.of_consumer())
            _core.consumer_last_words(typed, known_settings(), reason)
            if is_developed(options) and getattr(error, "returncode", 1) != USAGE:
                development.show(error, sys.stderr)
                development.start_again(error)
            raise
        finally:
            _core.release_signals()

    def handle(self, *_args: str, **options: Any) -> None:  # noqa: ANN401 - Django's signature
        """Finds the consumer and runs it; exits with the server's code if that is not 0."""
        logger.info("Starting a Tornado-powered Django AMQP consumer")
        try:
            configured = flags.from_settings(settings, flags.of_consumer())
        except flags.SettingError as error:
            raise CommandError(str(error), returncode=USAGE) from error
        try:
            code = _core.consume(
                begin(load(options["handler"])),
                flags.typed(options, flags.of_consumer()),
                configured,
                checks.collect,
                prepare_fork,
            )
        except ValueError as error:
            raise CommandError(str(error)) from error
        if code in development.MENDED_BY_CODE and is_developed(options):
            development.start_again()
        if code != 0:
            sys.exit(code)


def is_developed(options: dict[str, Any]) -> bool:
    """Whether a start that fails is tried again. A reload has others who see to that."""
    typed = flags.typed(options, flags.of_consumer())
    return _core.is_done() and development.is_wanted(typed, known_settings())


def load(path: str) -> type[_AMQPConsumer]:
    """The consumer's class; every way not to have one is a :class:`CommandError`."""
    try:
        from hurricane.amqp.basehandler import _AMQPConsumer

        found = import_string(path)
    except ModuleNotFoundError as error:
        if error.name == "pika":
            raise CommandError(str(error)) from error
        raise CommandError(f'cannot import the handler "{path}": {describe(error)}') from error
    except ImportError as error:
        raise CommandError(f'cannot import the handler "{path}": {describe(error)}') from error
    if not (isinstance(found, type) and issubclass(found, _AMQPConsumer)):
        raise CommandError(
            f'the handler "{path}" is no consumer: '
            "derive it from hurricane.amqp.basehandler.TopicHandler"
        )
    if found.on_message is _AMQPConsumer.on_message:
        raise CommandError(f'the handler "{path}" has no on_message: write one')
    if inspect.iscoroutinefunction(found.on_message):
        raise CommandError(
            f'on_message of the handler "{path}" is a coroutine function, which nobody would '
            "await: write a plain one"
        )
    return found


def begin(consumer: type[_AMQPConsumer]) -> Callable[..., Client]:
    """What makes the client, in the process that will consume."""

    def make(options: Options, report: Report, lines: Callable[[int, str], None] | None) -> Client:
        from hurricane.amqp.worker import Client

        loggers.send_to(lines, logger)
        if lines is not None:
            # It says five times what our own line says, and nobody here has asked for it.
            logging.getLogger("pika").setLevel(logging.CRITICAL)
        return Client(consumer, options, report)

    return make


def known_settings() -> dict[str, str]:
    """The settings that are flags, or none of them when one cannot be a flag's."""
    try:
        return flags.from_settings(settings, flags.of_consumer())
    except flags.SettingError:
        return {}
