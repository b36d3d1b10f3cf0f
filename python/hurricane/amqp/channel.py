"""A channel to the broker that any thread may use, and that knows which messages are settled.

``pika`` forbids to use its channels from other threads than the one of their connection, and
messages run on another, so that heartbeats go on while they do. Handlers that talk to the channel
themselves need not know that: every call is made on the connection's thread, and returns when it
has been made.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pika.exceptions import AMQPError

from hurricane.amqp.deliveries import Deliveries, Delivery
from hurricane.amqp.loggers import logger
from hurricane.amqp.loop import LoopEndedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hurricane.amqp.basehandler import _AMQPConsumer


class Channel:
    """Has every attribute of ``pika.channel.Channel``; those below do more."""

    def __init__(
        self,
        channel: Any,  # noqa: ANN401 - pika is not typed
        consumer: _AMQPConsumer,
        deliveries: Deliveries,
    ) -> None:
        self._channel = channel
        self._consumer = consumer
        self._deliveries = deliveries
        self._loop, self._report = consumer.loop, consumer.report
        # By delivery tag, as many as the broker sends ahead.
        self._unsettled: dict[int, Delivery] = {}
        self._last_tag = 0
        self._is_ending = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the channel has
        value = getattr(self._channel, name)
        if not callable(value):
            return value
        guarded = self._consumer.guarded

        def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the method has them
            args = tuple(guarded(arg) if callable(arg) else arg for arg in args)
            kwargs = {key: guarded(arg) if callable(arg) else arg for key, arg in kwargs.items()}
            return self._loop.call(value, *args, **kwargs)

        return call

    @property
    def takes_messages(self) -> bool:
        """Whether a message of this channel can still be settled, and another may begin."""
        return self._channel.is_open and not self._is_ending

    def basic_consume(  # noqa: PLR0913, PLR0917 - pika's signature
        self,
        queue: str,
        on_message_callback: Callable[..., object],
        auto_ack: bool = False,
        exclusive: bool = False,
        consumer_tag: str | None = None,
        arguments: dict[str, Any] | None = None,
        callback: Callable[..., object] | None = None,
    ) -> Any:  # noqa: ANN401 - the consumer's tag
        """Consumes from a queue; messages run on a thread of their own, one at a time."""

        def confirmed(*args: object) -> None:
            self._consumer.consuming_began()
            if callback is not None:
                callback(*args)

        def delivered(_channel: object, deliver: Any, properties: Any, body: bytes) -> None:  # noqa: ANN401
            delivery = Delivery(self, deliver, properties, body, on_message_callback, auto_ack)
            self._report.received()
            self._last_tag = deliver.delivery_tag
            if auto_ack:
                self._report.settled("acked")
            else:
                self._unsettled[deliver.delivery_tag] = delivery
            self._deliveries.put(delivery)

        return self._loop.call(
            self._channel.basic_consume,
            queue,
            delivered,
            auto_ack=auto_ack,
            exclusive=exclusive,
            consumer_tag=consumer_tag,
            arguments=arguments,
            callback=self._consumer.guarded(confirmed),
        )

    def basic_ack(self, delivery_tag: int = 0, multiple: bool = False) -> None:
        """Acknowledges a message, or all up to this one."""
        send = partial(self._channel.basic_ack, delivery_tag, multiple=multiple)
        self._settle(send, delivery_tag, multiple, "acked")

    def basic_nack(
        self, delivery_tag: int = 0, multiple: bool = False, requeue: bool = True
    ) -> None:
        """Gives a message back to its queue, or rejects it for good."""
        send = partial(self._channel.basic_nack, delivery_tag, multiple=multiple, requeue=requeue)
        self._settle(send, delivery_tag, multiple, "requeued" if requeue else "rejected")

    def basic_reject(self, delivery_tag: int = 0, requeue: bool = True) -> None:
        """The same, and a quorum queue counts it as a failure of the message."""
        send = partial(self._channel.basic_reject, delivery_tag, requeue=requeue)
        self._settle(send, delivery_tag, False, "requeued" if requeue else "rejected")

    def close(self, reply_code: int = 0, reply_text: str = "Normal shutdown") -> None:
        """Closes the channel once the message that runs has ended; none begins before that."""
        self._is_ending = True

        def close() -> None:
            if self._channel.is_open:
                self._channel.close(reply_code, reply_text)

        self._deliveries.when_idle(lambda: self._loop.schedule(close))

    def _settle(
        self, send: Callable[[], object], delivery_tag: int, multiple: bool, how: str
    ) -> None:
        tags = self._tags(delivery_tag, multiple)
        if not tags and 0 < delivery_tag <= self._last_tag:
            # The broker would close the channel for it, and deliver everything again.
            logger.warning("Message %s is settled already; it is not %s again", delivery_tag, how)
            return
        try:
            self._loop.call(send)
        except (AMQPError, LoopEndedError) as error:
            logger.warning(
                "Message %s cannot be %s, the broker will deliver it again: %s",
                delivery_tag,
                how,
                str(error) or repr(error),
            )
        else:
            for _ in tags:
                self._report.settled(how)
        for tag in tags:
            delivery = self._unsettled.pop(tag, None)
            if delivery is not None:
                delivery.is_settled = True

    def _tags(self, delivery_tag: int, multiple: bool) -> list[int]:
        if not multiple:
            return [delivery_tag] if delivery_tag in self._unsettled else []
        unsettled = list(self._unsettled)
        return [tag for tag in unsettled if delivery_tag == 0 or tag <= delivery_tag]
