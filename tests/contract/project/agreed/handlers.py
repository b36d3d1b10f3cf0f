"""A consumer of messages."""

from hurricane.amqp.basehandler import TopicHandler


class Handler(TopicHandler):
    """Takes every message and does nothing."""

    def on_message(self, _channel: object, deliver: object, *_message: object) -> None:
        """Acknowledges it."""
        self.acknowledge_message(deliver.delivery_tag)  # type: ignore[attr-defined]


class Stranger:
    """Is no consumer."""
