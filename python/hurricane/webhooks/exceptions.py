"""What can go wrong with webhooks."""


class WebhookCodeAlreadyRegistered(Exception):  # noqa: N818 - the name that projects know
    """A webhook of that code is registered already; unregister it first to take its place."""


class WebhookError(OSError):
    """The receiver has not taken a webhook; the text says why."""

    def __init__(self, cause: str, *, may_pass: bool) -> None:
        super().__init__(cause)
        #: Whether another attempt may go better.
        self.may_pass = may_pass
