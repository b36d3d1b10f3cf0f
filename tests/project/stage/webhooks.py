"""Webhooks of the project's own; a test names in the environment which of them are registered."""

import json
import os
from typing import ClassVar

from hurricane.webhooks import (
    LivenessWebhook,
    ReadinessWebhook,
    Webhook,
    WebhookStatus,
    webhook_registry,
)
from stage.views import note, wait_for


class Deployment(Webhook):
    """Leaves the sending to its base; the server's every event is its."""

    code = "deployment"

    def __init__(self) -> None:
        super().__init__()
        self.data = {"info": "Deployment webhook", "type": self.code, "team": "shop"}


class Liveness(Webhook):
    """In the place of the server's own."""

    code = "liveness"

    def __init__(self) -> None:
        super().__init__()
        self.data = {"info": "own liveness", "type": self.code}


class Notes(Webhook):
    """Does with the news what it likes."""

    code = "notes"
    events: ClassVar[tuple[str, ...] | None] = ("startup", "readiness", "shutdown")

    def run(
        self,
        url: str | None,
        status: WebhookStatus,
        error_trace: str | None = None,
        *_args: object,
        **_kwargs: object,
    ) -> None:
        """Writes it down."""
        words = [os.getpid(), self.event, url, status.value, error_trace]
        note("webhook-notes", json.dumps(words))


class Raises(Webhook):
    """Cannot be sent."""

    code = "raises"

    def run(self, *_args: object, **_kwargs: object) -> None:
        """Fails."""
        raise RuntimeError("a webhook of the tests raised")


class Hangs(Webhook):
    """Does not come back."""

    code = "hangs"

    def run(self, *_args: object, **_kwargs: object) -> None:
        """Waits for a test."""
        note("webhook-hangs-entered", str(os.getpid()))
        wait_for("webhook-hangs-open")


NAMED: dict[str, type[Webhook]] = {
    "deployment": Deployment,
    "hangs": Hangs,
    "liveness": Liveness,
    "notes": Notes,
    "raises": Raises,
}


def register(names: str) -> None:
    """Registers those; a minus lets go of the server's own."""
    for name in names.split():
        if name == "-readiness":
            webhook_registry.unregister(ReadinessWebhook)
            continue
        if name == "liveness":
            webhook_registry.unregister(LivenessWebhook)
        webhook_registry.register(NAMED[name])
