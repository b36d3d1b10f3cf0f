"""What consumers derive from: a connection to the broker, step by step, each a method.

A subclass has to write ``on_message``, and may override any other step. All of them but
``on_message`` are called on the thread of the connection and must not wait.

Invariant: whatever ends the connection stops its loop, so that ``run`` returns.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from hurricane.amqp.deliveries import Deliveries
from hurricane.amqp.loggers import logger
from hurricane.amqp.loop import Loop
from hurricane.amqp.report import Report, Silent

try:
    import pika
    from pika.exceptions import AMQPError

    from hurricane.amqp.channel import Channel
except ModuleNotFoundError as error:
    if error.name != "pika":
        raise
    raise ModuleNotFoundError(
        "consumers of AMQP messages need pika, which is not installed: "
        "pip install 'django-hurricane[amqp]'",
        name="pika",
    ) from error


__all__ = ["AMQPError", "TopicHandler"]


class _AMQPConsumer:
    """One connection to a broker, one channel on it, one queue that is consumed from.

    An instance is used for one connection; after a loss there is a new one.
    """

    EXCHANGE_TYPE: str

    def __init__(  # noqa: PLR0913, PLR0917 - what subclasses pass on
        self,
        queue_name: str,
        exchange_name: str,
        host: str,
        port: int,
        vhost: str | None = None,
        username: str | None = None,
        password: str | None = None,
    ) -> None:
        self.should_reconnect = False
        self.was_consuming = False

        self._queue_name = queue_name
        self._exchange_name = exchange_name
        self._host = host
        self._port = port
        self._vhost = vhost or "/"
        self._username = username
        self._password = password

        self._connection: Any = None
        self._channel: Any = None
        self._closing = False
        self._consumer_tag: str | None = None
        self._consuming = False
        self._prefetch_count = 1
        self._bindings_awaited = 0

        # Why the connection has ended, in the broker's words.
        self._failure = ""
        self._raised: Exception | None = None
        # For the channel, and for who runs this.
        self.loop = Loop()
        self.report: Report = Silent()
        self._deliveries: Deliveries | None = None

    # The connection

    def connect(self) -> Any:  # noqa: ANN401 - pika is not typed
        """Begins to connect; returns the connection, whose loop does the rest."""
        logger.info("Connecting to %s", self._address())
        credentials = {}
        if self._username:
            password = self._password or ""
            credentials["credentials"] = pika.PlainCredentials(self._username, password)
        parameters = pika.ConnectionParameters(
            host=self._host, port=self._port, virtual_host=self._vhost, **credentials
        )
        return pika.SelectConnection(
            parameters=parameters,
            on_open_callback=self.guarded(self.on_connection_open),
            on_open_error_callback=self._noting(self.on_connection_open_error),
            on_close_callback=self._noting(self.on_connection_closed),
        )

    def _address(self) -> str:
        return f"{self._host}:{self._port}/{self._vhost.lstrip('/')}"

    def _noting(self, callback: Any) -> Any:  # noqa: ANN401 - one of the methods below
        """A callback of two arguments, the second of which says what went wrong."""

        def noted(subject: object, reason: object) -> None:
            if not self._closing:
                self._note(reason)
            callback(subject, reason)

        return noted

    def guarded(self, callback: Any) -> Any:  # noqa: ANN401 - one of the methods below
        """The callback; what it raises is kept, because pika takes it for a lost connection."""

        def guarded(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            try:
                return callback(*args, **kwargs)
            except Exception as error:
                self._raised = self._raised or error
                raise

        return guarded

    def _note(self, reason: object) -> None:
        """Keeps the first thing that went wrong; what follows is its consequence."""
        if not self._failure:
            self._failure = " ".join(str(reason).split()) or type(reason).__name__

    def on_connection_open(self, _connection: Any) -> None:  # noqa: ANN401
        """The broker has accepted the connection."""
        logger.info("Connection opened")
        self.report.broker("connected", f"setting up a channel on {self._address()}")
        self.open_channel()

    def on_connection_open_error(self, _connection: Any, err: Any) -> None:  # noqa: ANN401
        """The broker cannot be reached, or refuses us."""
        logger.error("Connection to %s failed: %s", self._address(), err)
        self.reconnect()

    def on_connection_closed(self, _connection: Any, reason: Any) -> None:  # noqa: ANN401
        """The connection has ended, by us or by somebody else."""
        self._channel = None
        self._consuming = False
        if self._closing:
            self._stop_loop()
        else:
            logger.warning("Connection to %s closed: %s", self._address(), reason)
            self.reconnect()

    def reconnect(self) -> None:
        """Ends this connection; another one is needed."""
        self.should_reconnect = True
        self.stop()

    def close_connection(self) -> None:
        """Closes the connection, unless it is on its way."""
        self._consuming = False
        if self._connection.is_closing or self._connection.is_closed:
            logger.debug("Connection is closing or closed already")
        else:
            logger.info("Closing connection")
            self._connection.close()

    # The channel

    def open_channel(self) -> None:
        """Asks for a channel."""

        def opened(channel: Any) -> None:  # noqa: ANN401
            self.on_channel_open(Channel(channel, self, self._all()))

        self._connection.channel(on_open_callback=self.guarded(opened))

    def on_channel_open(self, channel: Any) -> None:  # noqa: ANN401
        """The channel is there; the exchange comes next."""
        logger.info("Channel opened")
        self._channel = channel
        self.add_on_channel_close_callback()
        self.setup_exchange(self._exchange_name)

    def add_on_channel_close_callback(self) -> None:
        """Has ``on_channel_closed`` called."""
        self._channel.add_on_close_callback(self._noting(self.on_channel_closed))

    def on_channel_closed(self, _channel: Any, reason: Any) -> None:  # noqa: ANN401
        """The channel has ended; by the broker when we broke a rule of the protocol."""
        self._consuming = False
        if self._closing:
            logger.debug("Channel closed: %s", reason)
        else:
            logger.warning("Channel was closed: %s", reason)
        self.close_connection()

    def close_channel(self) -> None:
        """Closes the channel, once the message that runs has ended."""
        if self._channel is not None:
            logger.info("Closing the channel")
            self._channel.close()

    # Exchange, queue and bindings

    def setup_exchange(self, exchange_name: str) -> None:
        """Declares the exchange. Without a name there is nothing to declare or to bind to."""
        if not exchange_name:
            self.setup_queue(self._queue_name)
            return
        logger.info("Declaring exchange: %s", exchange_name)
        self._channel.exchange_declare(
            exchange=exchange_name,
            exchange_type=self.EXCHANGE_TYPE,
            callback=partial(self.on_exchange_declareok, userdata=exchange_name),
        )

    def on_exchange_declareok(self, _frame: Any, userdata: str) -> None:  # noqa: ANN401
        """The exchange is there; the queue comes next."""
        logger.info("Exchange declared: %s", userdata)
        self.setup_queue(self._queue_name)

    def setup_queue(self, queue_name: str) -> None:
        """Declares the queue. One that the broker names is of use to nobody after us."""
        logger.info("Declaring queue: %s", queue_name or "(named by the broker)")
        named = {} if queue_name else {"auto_delete": True}
        self._channel.queue_declare(
            queue=queue_name,
            callback=partial(self.on_queue_declareok, userdata=queue_name),
            **named,
        )

    def get_routing_keys(self, queue_name: str) -> list[str]:  # noqa: ARG002 - for subclasses
        """The keys by which the queue is bound; without any it is bound by its own name."""
        return []

    def on_queue_declareok(self, frame: Any, userdata: str) -> None:  # noqa: ANN401
        """The queue is there; it is bound to the exchange by each of its keys."""
        name = userdata or getattr(getattr(frame, "method", None), "queue", "")
        self._queue_name = name
        if not self._exchange_name:
            self.set_qos()
            return
        keys: list[str | None] = [*self.get_routing_keys(name)] or [None]
        self._bindings_awaited = len(keys)
        for key in keys:
            callback = partial(self.on_bindok, queue_name=name, routing_key=key)
            by_key = {} if key is None else {"routing_key": key}
            self._channel.queue_bind(
                name, exchange=self._exchange_name, callback=callback, **by_key
            )

    def on_bindok(self, _frame: Any, queue_name: str, routing_key: str | None = None) -> None:  # noqa: ANN401
        """The queue is bound by one of its keys; after the last one comes the prefetch."""
        if routing_key:
            logger.info("Queue bound: %s with routing key %s", queue_name, routing_key)
        else:
            logger.info("Queue bound: %s", queue_name)
        self._bindings_awaited -= 1
        if self._bindings_awaited <= 0:
            self.set_qos()

    # Messages

    def set_qos(self) -> None:
        """Bounds how many messages the broker sends ahead; without a bound it sends them all."""
        self._channel.basic_qos(
            prefetch_count=max(1, self._prefetch_count), callback=self.on_basic_qos_ok
        )

    def on_basic_qos_ok(self, _frame: Any) -> None:  # noqa: ANN401
        """That is settled; messages may come."""
        self.start_consuming()

    def start_consuming(self) -> None:
        """Asks for messages."""
        self.add_on_cancel_callback()
        self._consumer_tag = self._channel.basic_consume(self._queue_name, self.on_message)
        self._consuming = True

    def consuming_began(self) -> None:
        """The broker has agreed to send messages."""
        self.was_consuming = True
        logger.info("Consuming from queue %s", self._queue_name)
        self.report.broker("consuming", self._address())

    def add_on_cancel_callback(self) -> None:
        """Has ``on_consumer_cancelled`` called."""
        self._channel.add_on_cancel_callback(self.on_consumer_cancelled)

    def on_consumer_cancelled(self, _frame: Any) -> None:  # noqa: ANN401
        """The broker sends no more messages, as when the queue was deleted."""
        logger.warning("The broker has cancelled the consumer of queue %s", self._queue_name)
        self._note(f'the broker has cancelled the consumer of queue "{self._queue_name}"')
        self._consuming = False
        self.close_channel()

    def on_message(
        self,
        channel: Any,  # noqa: ANN401
        basic_deliver: Any,  # noqa: ANN401
        properties: Any,  # noqa: ANN401
        body: bytes,
    ) -> None:
        """Does what the message is for, then acknowledges or rejects it. For subclasses."""
        raise NotImplementedError(f"{type(self).__name__} has no on_message")

    def acknowledge_message(self, delivery_tag: int) -> None:
        """Tells the broker that the message is done."""
        logger.debug("Acknowledging message %s", delivery_tag)
        self._settle("basic_ack", delivery_tag)

    def reject_message(self, delivery_tag: int, requeue: bool = False) -> None:
        """Gives the message back to its queue, or for good to the dead-letter exchange."""
        logger.debug("Rejecting message %s", delivery_tag)
        self._settle("basic_nack", delivery_tag, requeue=requeue)

    def _settle(self, name: str, delivery_tag: int, **options: bool) -> None:
        if self._channel is None:
            logger.warning(
                "Message %s cannot be settled, the broker will deliver it again: "
                "the connection is gone",
                delivery_tag,
            )
            return
        getattr(self._channel, name)(delivery_tag, **options)

    # The end

    def stop_consuming(self) -> None:
        """Tells the broker to send no more messages."""
        if self._channel is not None:
            logger.info("Cancelling the consumer")
            callback = partial(self.on_cancelok, userdata=self._consumer_tag or "")
            self._channel.basic_cancel(self._consumer_tag, callback)

    def on_cancelok(self, _frame: Any, userdata: str) -> None:  # noqa: ANN401, ARG002
        """The broker sends no more; once the message that runs has ended all is closed."""
        self._consuming = False
        self.close_channel()

    def run(self) -> None:
        """Connects and consumes until the connection has ended; raises what a step has raised."""
        self.report.broker("connecting", f"connecting to {self._address()}")
        self._connection = self.connect()
        self.loop.run(self._connection.ioloop)
        if self._raised is not None:
            raise self._raised

    def stop(self) -> None:
        """Ends the connection in order; to be called on its thread."""
        if self._closing:
            return
        self._closing = True
        if self._consuming:
            self.stop_consuming()
        elif self._connection is not None and self._connection.is_open:
            self.close_connection()
        else:
            self._stop_loop()

    def _stop_loop(self) -> None:
        if self._connection is not None:
            self._connection.ioloop.stop()

    def _all(self) -> Deliveries:
        if self._deliveries is None:
            self._deliveries = Deliveries(self.report, max_redeliveries=1)
        return self._deliveries


class TopicHandler(_AMQPConsumer):
    """Consumes from a queue that is bound to a topic exchange."""

    EXCHANGE_TYPE = "topic"
