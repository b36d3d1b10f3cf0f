"""The webhooks of a process, by their codes."""

from hurricane.webhooks.base import Webhook
from hurricane.webhooks.exceptions import WebhookCodeAlreadyRegistered


class WebhookRegistry:
    """Holds one webhook for each code."""

    def __init__(self) -> None:
        self.webhooks: dict[str, Webhook] = {}

    def register(self, webhook_cls: type[Webhook]) -> None:
        """Makes a webhook of that class and holds it under the class's code."""
        code = webhook_cls.code
        if code in self.webhooks:
            raise WebhookCodeAlreadyRegistered(
                f'a webhook with the code "{code}" is registered already; unregister it first'
            )
        self.webhooks[code] = webhook_cls()

    def unregister(self, webhook_cls: type[Webhook]) -> None:
        """Lets go of the webhook of that code, if there is one. It is not sent any more."""
        self.webhooks.pop(webhook_cls.code, None)

    def get(self, code: str) -> Webhook:
        """The webhook of that code; ``KeyError`` if there is none."""
        return self.webhooks[code]
