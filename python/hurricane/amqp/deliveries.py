"""The thread that runs messages, one after the other, and what becomes of those that fail.

It is not the thread that talks to the broker: heartbeats, a lost connection and the order to stop
are heard while a message runs, for however long.

Invariants:
- A message that raises ends neither this thread nor the process.
- A message that raises comes back a bounded number of times, then is rejected for good.
- A message whose channel is gone before its turn is not run: the broker delivers it again.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hurricane.amqp.loggers import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from hurricane.amqp.channel import Channel
    from hurricane.amqp.report import Report


@dataclass(eq=False)
class Delivery:
    """A message, and who is to run it."""

    channel: Channel
    deliver: Any
    properties: Any
    body: bytes
    run: Callable[..., object]
    is_settled: bool

    @property
    def tag(self) -> int:
        """The number under which the broker hears of it."""
        tag: int = self.deliver.delivery_tag
        return tag

    @property
    def name(self) -> str:
        """Where it came from, as in log lines: ``exchange/routing.key``."""
        return f"{self.deliver.exchange}/{self.deliver.routing_key}"


class Deliveries:
    """Messages that run or wait. Those that wait are as many as the broker sends ahead."""

    def __init__(self, report: Report, max_redeliveries: int) -> None:
        self._report = report
        self._max_redeliveries = max_redeliveries
        self._change = threading.Condition()
        self._waiting: deque[Delivery] = deque()
        self._running: Delivery | None = None
        self._thread: threading.Thread | None = None
        self._when_idle: list[Callable[[], object]] = []

    def put(self, delivery: Delivery) -> None:
        """Has a message run when its turn has come."""
        with self._change:
            if self._thread is None:
                # A daemon, because a message that never ends must not keep the process.
                self._thread = threading.Thread(target=self._work, name="message", daemon=True)
                self._thread.start()
            self._waiting.append(delivery)
            self._change.notify_all()

    def when_idle(self, then: Callable[[], object]) -> None:
        """Calls ``then`` when no message runs: now, or when the one that does has ended."""
        with self._change:
            if self._running is not None:
                self._when_idle.append(then)
                return
        then()

    def wait_until_idle(self, seconds: float) -> bool:
        """Waits for the message that runs; false when it has not ended in time."""
        with self._change:
            return self._change.wait_for(lambda: self._running is None, seconds)

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting)
                delivery = self._waiting.popleft()
                if not delivery.channel.takes_messages:
                    continue
                self._running = delivery
            try:
                self._run(delivery)
            except Exception:  # noqa: BLE001 - whatever it is, the next message is to be run
                logger.exception("Message %s (%s) was left as it is", delivery.tag, delivery.name)
            with self._change:
                self._running = None
                idle, self._when_idle = self._when_idle, []
                self._change.notify_all()
            for then in idle:
                then()

    def _run(self, delivery: Delivery) -> None:
        self._report.began(delivery.name)
        has_failed = True
        try:
            renew_connections()
            delivery.run(delivery.channel, delivery.deliver, delivery.properties, delivery.body)
            has_failed = False
        except (Exception, SystemExit):  # noqa: BLE001 - a project may raise anything
            logger.exception("Message %s (%s) has failed", delivery.tag, delivery.name)
            self._give_up(delivery)
        finally:
            try:
                renew_connections()
            finally:
                self._report.ended(has_failed)
        if not delivery.is_settled:
            logger.warning(
                "Message %s (%s) was neither acknowledged nor rejected; "
                "the broker sends no other until it is",
                delivery.tag,
                delivery.name,
            )

    def _give_up(self, delivery: Delivery) -> None:
        """Settles a message that raised before it was settled."""
        if delivery.is_settled:
            return
        requeue = may_come_back(delivery.deliver, delivery.properties, self._max_redeliveries)
        # Not basic_nack: quorum queues of RabbitMQ 4.3 count rejections only.
        delivery.channel.basic_reject(delivery.tag, requeue=requeue)
        logger.warning(
            "Message %s (%s) %s",
            delivery.tag,
            delivery.name,
            "is given back to its queue" if requeue else "is rejected for good",
        )


def may_come_back(deliver: Any, properties: Any, max_redeliveries: int) -> bool:  # noqa: ANN401
    """Whether a message that failed is to be delivered once more.

    Quorum queues count deliveries. Of classic ones it is only known that there was one before, so
    that there more than one redelivery is one.
    """
    count = (properties.headers or {}).get("x-delivery-count")
    if isinstance(count, int):
        return count < max_redeliveries
    return max_redeliveries > 0 and not deliver.redelivered


def renew_connections() -> None:
    """What Django does around each request: closes database connections that are not to live on.

    These are broken ones, and those that are older than ``CONN_MAX_AGE``; without persistent
    connections all of them.
    """
    from django.db import close_old_connections, reset_queries

    reset_queries()
    close_old_connections()
