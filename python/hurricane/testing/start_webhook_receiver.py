"""``python -m hurricane.testing.start_webhook_receiver``: takes webhooks and logs what they say."""

import argparse
import signal

from hurricane.testing.actors import WebhookReceiverServer

PORT = 8074


def start_receiver(port: int = PORT) -> None:
    """Takes webhooks until it is told to stop."""
    receiver = WebhookReceiverServer()
    receiver.make_http_receiver_app().listen(port)
    receiver.logger.info("Started webhook receiver server")
    signal.pause()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=PORT)
    start_receiver(parser.parse_args().port)
