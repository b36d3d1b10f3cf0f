"""``manage.py consume``: a consumer of AMQP messages, supervised and probed as a server is."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError, CommandParser
from django.utils.module_loading import import_string

from hurricane import _core, checks, development, flags
from hurricane.amqp import logger
from hurricane.fork import prepare_fork
from hurricane.loader import describe
from hurricane.management.supervised import SupervisedCommand
from hurricane.server import loggers

if TYPE_CHECKING:
    from collections.abc import Callable

    from hurricane.amqp.basehandler import _AMQPConsumer
    from hurricane.amqp.report import Report
    from hurricane.amqp.worker import Client, Options


class Command(SupervisedCommand):
    """Consumes messages until it is told to stop."""

    help = "Consumes AMQP messages with a handler of this project, with probes for Kubernetes."
    known_flags = staticmethod(flags.of_consumer)
    last_words = staticmethod(_core.consumer_last_words)
    develops = staticmethod(development.is_wanted)

    def add_arguments(self, parser: CommandParser) -> None:
        """Adds the handler, and the flags."""
        parser.add_argument("handler", help="The consumer's class, such as shop.amqp.OrderHandler")
        super().add_arguments(parser)

    def handle(self, *args: str, **options: Any) -> None:  # noqa: ANN401 - Django's signature
        """Finds the consumer and runs it; exits with the server's code if that is not 0."""
        logger.info("Starting a Tornado-powered Django AMQP consumer")
        super().handle(*args, **options)

    def supervise(
        self, typed: list[str], configured: dict[str, str], options: dict[str, Any]
    ) -> int:
        """Finds the consumer and runs it."""
        try:
            return _core.consume(
                begin(load(options["handler"])), typed, configured, checks.collect, prepare_fork
            )
        except ValueError as error:
            raise CommandError(str(error)) from error


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
