"""A consumer over all its connections: who connects again, and when."""

from __future__ import annotations

import os
import random
import threading
import time
from typing import TYPE_CHECKING, Any, TypedDict

from django.conf import settings

from hurricane.amqp.basehandler import AMQPError
from hurricane.amqp.deliveries import Deliveries
from hurricane.amqp.loggers import logger
from hurricane.amqp.report import Report, Silent

if TYPE_CHECKING:
    from hurricane.amqp.basehandler import _AMQPConsumer

# The first pause after a loss, and the longest. Up to half of a pause is taken off at random, so
# that consumers of a broker that has come back do not come together.
PAUSE_SECONDS_MIN = 0.5
PAUSE_SECONDS_MAX = 30.0
# A connection that has consumed for so long was a good one: the pauses begin anew.
GOOD_SECONDS = 10.0


class Options(TypedDict):
    """The flags of ``consume``, settled."""

    queue: str
    exchange: str
    host: str
    port: int
    vhost: str
    reconnect: bool
    max_redeliveries: int
    grace_seconds: float


class AMQPClient:
    """Runs a consumer, and a new one after each connection that was lost.

    Credentials are ``AMQP_USER`` and ``AMQP_PASSWORD`` of the settings or the environment: a
    command line is read by everybody.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - its callers' signature, and what it reports to
        self,
        consumer_klass: type[_AMQPConsumer],
        queue_name: str,
        exchange_name: str,
        amqp_host: str,
        amqp_port: int,
        amqp_vhost: str,
        *,
        report: Report | None = None,
        max_redeliveries: int = 1,
        grace_seconds: float = 20.0,
    ) -> None:
        self._consumer_klass = consumer_klass
        self._consumer_args: tuple[Any, ...] = (
            queue_name,
            exchange_name,
            amqp_host,
            amqp_port,
            amqp_vhost,
            credential("AMQP_USER"),
            credential("AMQP_PASSWORD"),
        )
        self._address = f"{amqp_host}:{amqp_port}/{amqp_vhost.lstrip('/')}"
        self._report = report or Silent()
        self._deliveries = Deliveries(self._report, max_redeliveries)
        self._grace_seconds = grace_seconds
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._failures = 0
        self._consumer = self._new_consumer()

    def _new_consumer(self) -> _AMQPConsumer:
        consumer = self._consumer_klass(*self._consumer_args)
        consumer.report, consumer._deliveries = self._report, self._deliveries  # noqa: SLF001
        return consumer

    def run(self, reconnect: bool = False) -> str | None:
        """Consumes until it is told to stop; returns nothing then, else why it cannot go on."""
        while not self._stopping.is_set():
            began = time.monotonic()
            why = self._run_once()
            if self._stopping.is_set():
                break
            if not reconnect:
                # What runs cannot be acknowledged any more, but need not be torn.
                self._deliveries.wait_until_idle(self._grace_seconds)
                lost = "lost" if self._consumer.was_consuming else "not reached"
                return (
                    f"the message broker {self._address} was {lost}: {why}; "
                    "start it, correct --amqp-host, --amqp-port, --amqp-vhost or AMQP_USER, "
                    "or wait for it with --reconnect"
                )
            was_good = self._consumer.was_consuming and time.monotonic() - began > GOOD_SECONDS
            self._failures = 1 if was_good else self._failures + 1
            self._pause(why)
            with self._lock:
                self._consumer = self._new_consumer()
        self._deliveries.wait_until_idle(self._grace_seconds)
        return None

    def _run_once(self) -> str:
        """One connection, from its beginning to its end; returns why it has ended."""
        consumer = self._consumer
        try:
            consumer.run()
        except (AMQPError, OSError) as error:
            return " ".join(str(error).split()) or type(error).__name__
        return consumer._failure or "the connection has ended"  # noqa: SLF001

    def _pause(self, why: str) -> None:
        pause = pause_seconds(self._failures, random.random())
        logger.warning(
            "Connecting to %s again in %.1f s, for the %d. time: %s",
            self._address,
            pause,
            self._failures,
            why,
        )
        remark = f"{self._address}: {why}; attempt {self._failures + 1} follows"
        self._report.broker("lost", remark)
        self._stopping.wait(pause)

    def stop(self) -> None:
        """Takes no more messages; ``run`` returns when the one that runs has ended.

        To be called from any thread.
        """
        self._stopping.set()
        with self._lock:
            consumer = self._consumer
        consumer.loop.schedule(consumer.stop)


class Client:
    """What the server around a consumer runs and stops."""

    def __init__(self, consumer: type[_AMQPConsumer], options: Options, report: Report) -> None:
        self._reconnect = options["reconnect"]
        self._client = AMQPClient(
            consumer,
            options["queue"],
            options["exchange"],
            options["host"],
            options["port"],
            options["vhost"],
            report=report,
            max_redeliveries=options["max_redeliveries"],
            grace_seconds=options["grace_seconds"],
        )

    def run(self) -> str | None:
        """See :meth:`AMQPClient.run`; what a step of the consumer raises is logged and raised."""
        try:
            return self._client.run(self._reconnect)
        except Exception:
            logger.exception("The consumer has failed")
            raise

    def stop(self) -> None:
        """See :meth:`AMQPClient.stop`."""
        self._client.stop()


def pause_seconds(failures: int, chance: float) -> float:
    """The pause after so many failures in a row; ``chance`` is a random number from 0 to 1."""
    longest = min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN * 2.0 ** min(failures - 1, 16))
    return longest * (1 - chance / 2)


def credential(name: str) -> str | None:
    """A setting, or else a variable of the environment."""
    given = getattr(settings, name, None)
    if given is None:
        given = os.environ.get(name) or None
    return None if given is None else str(given)
