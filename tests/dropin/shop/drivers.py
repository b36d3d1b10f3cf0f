"""Drivers on free ports, so that several may test at a time."""

import os
from typing import ClassVar

from hurricane.testing.drivers import HurricaneServerDriver, HurricaneWebhookServerDriver

PORT = os.environ.get("SHOP_PORT", "8000")
PROBE_PORT = os.environ.get("SHOP_PROBE_PORT", "8001")
# Django-Hurricane's receiver has no other.
RECEIVER_PORT = os.environ.get("SHOP_RECEIVER_PORT", "8074")
PORTS = ["--port", PORT, "--probe-port", PROBE_PORT]
HOOKS = ["--webhook-url", f"http://localhost:{RECEIVER_PORT}/webhook"]


class ShopDriver(HurricaneServerDriver):
    """The shop."""

    ports: ClassVar[list[int]] = [int(PORT), int(PROBE_PORT)]


class ReceiverDriver(HurricaneWebhookServerDriver):
    """Its receiver of webhooks."""

    ports: ClassVar[list[int]] = [int(RECEIVER_PORT)]
