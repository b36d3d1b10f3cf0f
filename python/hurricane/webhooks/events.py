"""The server's events, as they are told to webhooks that a project has registered.

This runs in the process that answers probes, on a thread of its own: what a webhook's ``run`` does
is the project's code, and delays nobody but the next webhook.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hurricane.server.loggers import logger
from hurricane.webhooks import webhook_registry
from hurricane.webhooks.base import ATTEMPT_SECONDS, PAUSES_SECONDS, WebhookStatus
from hurricane.webhooks.sending import threads
from hurricane.webhooks.webhook_types import BUILT_IN

if TYPE_CHECKING:
    from hurricane.webhooks.base import Webhook

EVENTS = ("startup", "liveness", "readiness", "drain", "shutdown")
# A webhook that sends by itself needs no more, whatever its receiver does.
SETTLE_SECONDS = sum(PAUSES_SECONDS) + ATTEMPT_SECONDS * (len(PAUSES_SECONDS) + 1)


def collect() -> list[str] | None:
    """The events of which the server sends nothing itself; ``None`` if it sends everything."""
    registered = webhook_registry.webhooks
    unsent = [cls.code for cls in BUILT_IN if type(registered.get(cls.code)) is not cls]
    own = [code for code, webhook in registered.items() if type(webhook) not in BUILT_IN]
    if not unsent and not own:
        return None
    return [event for event in EVENTS if event in {*unsent, *own}]


def tell(event: str, status: str, why: str | None, url: str | None) -> None:
    """Runs every webhook that is sent with this event; returns when they were sent."""
    for code, webhook in list(webhook_registry.webhooks.items()):
        if type(webhook) in BUILT_IN or event not in events_of(webhook):
            continue
        webhook.event = event
        try:
            webhook.run(url=url, status=WebhookStatus(status), error_trace=why)
        except (Exception, SystemExit):  # noqa: BLE001 - a project may raise anything
            logger.exception('webhook "%s" cannot be sent', code)
    threads.settle(SETTLE_SECONDS)


def events_of(webhook: Webhook) -> tuple[str, ...]:
    """The events that a webhook is sent with."""
    if webhook.events is not None:
        return webhook.events
    return (webhook.code,) if webhook.code in EVENTS else EVENTS
