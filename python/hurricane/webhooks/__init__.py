"""What the server tells of itself, and the registry in which a project changes that.

The server sends its own webhooks natively: ``startup``, ``liveness`` and ``readiness``, which are
registered here, and ``drain`` and ``shutdown``. It does so while what is registered for their code
is its own class. A project that registers another one under such a code takes its place; one of a
code of its own is sent as well, with every event or with those in its ``events``. That happens in
the process that answers probes, so register in ``AppConfig.ready`` or earlier.
"""

from hurricane.webhooks.base import Webhook, WebhookStatus
from hurricane.webhooks.registry import WebhookRegistry
from hurricane.webhooks.webhook_types import (
    BUILT_IN,
    LivenessWebhook,
    ReadinessWebhook,
    StartupWebhook,
)

__all__ = [
    "LivenessWebhook",
    "ReadinessWebhook",
    "StartupWebhook",
    "Webhook",
    "WebhookRegistry",
    "WebhookStatus",
    "webhook_registry",
]

webhook_registry = WebhookRegistry()
for built_in in BUILT_IN:
    webhook_registry.register(built_in)
