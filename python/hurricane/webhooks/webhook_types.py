"""The webhooks that are registered from the start. The server sends them natively."""

from typing import ClassVar

from hurricane.webhooks.base import Webhook


class StartupWebhook(Webhook):
    """The start has succeeded, has failed, or takes long."""

    code = "startup"
    events: ClassVar[tuple[str, ...] | None] = ("startup",)

    def __init__(self) -> None:
        super().__init__()
        self.data = {"info": "Startup webhook", "type": self.code}


class LivenessWebhook(Webhook):
    """What the liveness probe says has changed."""

    code = "liveness"
    events: ClassVar[tuple[str, ...] | None] = ("liveness",)

    def __init__(self) -> None:
        super().__init__()
        self.data = {"info": "Liveness webhook", "type": self.code}


class ReadinessWebhook(Webhook):
    """What the readiness probe says has changed."""

    code = "readiness"
    events: ClassVar[tuple[str, ...] | None] = ("readiness",)

    def __init__(self) -> None:
        super().__init__()
        self.data = {"info": "Readiness webhook", "type": self.code}


BUILT_IN: tuple[type[Webhook], ...] = (StartupWebhook, LivenessWebhook, ReadinessWebhook)
