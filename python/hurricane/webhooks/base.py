"""What a webhook says, and how it is sent."""

from __future__ import annotations

import json
import os
import socket
import time
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

from hurricane import _core
from hurricane.server.loggers import logger
from hurricane.webhooks.exceptions import WebhookError
from hurricane.webhooks.sending import threads

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

# As the server does with its own: an attempt, and the pauses before the next ones.
ATTEMPT_SECONDS = 5.0
PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0)


class WebhookStatus(Enum):
    """How what a webhook is about stands."""

    FAILED = "failed"
    SUCCEEDED = "succeeded"
    WARNING = "warning"


class Webhook:
    """A message to a URL. A project's own class has a ``code``, and ``data`` to be sent.

    ``run`` may be called anywhere. A class that is registered is also run by the server.
    """

    code: str
    data: dict[str, Any] = {}  # noqa: RUF012 - projects assign it in classes and instances
    #: Events of the server that a registered webhook is sent with: some of ``startup``,
    #: ``liveness``, ``readiness``, ``drain``, ``shutdown``. ``None``: its own code, where that is
    #: an event, else every event.
    events: ClassVar[tuple[str, ...] | None] = None
    #: The event that the server runs it for.
    event: str | None = None

    def __init__(self, code: str | None = None) -> None:
        if code:
            self.code = code

    @classmethod
    def get_from_registry(cls) -> Webhook:
        """The webhook that is registered under this class's code."""
        from hurricane.webhooks import webhook_registry

        return webhook_registry.get(cls.code)

    def run(
        self,
        url: str | None,
        status: WebhookStatus,
        error_trace: str | None = None,
        close_loop: bool = False,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Sends it to ``url`` on a thread of its own and returns at once; a failure is logged.

        With ``close_loop`` the ``loop`` is stopped once it was sent or given up.
        """
        if not url:
            if close_loop:
                logger.warning("No webhook can be sent, as no url is specified")
                self._callback_webhook_exception_check(None, "", close_loop=True, loop=loop)
            return
        # The class's, and that of the last run, stay as they are.
        self.data = {key: value for key, value in self.data.items() if key != "traceback"}
        if error_trace:
            self.set_traceback(error_trace)
        self.set_status(status)
        self.set_timestamp()
        self.set_podname()
        self.set_version()
        message = dict(self.get_message())
        if not threads.start(lambda: self.send_until_taken(message, url, close_loop, loop)):
            logger.warning(
                "Sending webhook to %s has failed due to too many that are being sent", shown(url)
            )

    def send_until_taken(
        self,
        message: dict[str, Any],
        url: str,
        close_loop: bool,
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        """Makes one attempt after the other, while another may go better."""
        from concurrent.futures import Future

        future: Future[None] = Future()
        for pause in (*PAUSES_SECONDS, None):
            try:
                self._send_webhook(message, url, close_loop)
            except WebhookError as error:
                if error.may_pass and pause is not None:
                    log_unsent(url, error)
                    time.sleep(pause)
                    continue
                future.set_exception(error)
            except Exception as error:  # noqa: BLE001 - a project's own way to send
                future.set_exception(error)
            else:
                future.set_result(None)
            break
        self._callback_webhook_exception_check(future, url, close_loop=close_loop, loop=loop)

    def _send_webhook(
        self,
        data: dict[str, Any],
        webhook_url: str,
        close_loop: bool,  # noqa: ARG002 - projects override this method
    ) -> None:
        """One attempt; raises if it was not taken."""
        logger.info("Start sending %s webhook to %s", self.code, shown(webhook_url))
        text = json.dumps(data).encode()
        unsent = _core.post_webhook(webhook_url, text, ATTEMPT_SECONDS)
        if unsent is not None:
            cause, may_pass = unsent
            raise WebhookError(cause, may_pass=may_pass)

    def set_traceback(self, error_trace: str) -> None:
        """Says why the status is what it is."""
        self.data["traceback"] = error_trace

    def set_timestamp(self) -> None:
        """Says when it is, in seconds since 1970."""
        self.data["timestamp"] = int(time.time())

    def set_podname(self) -> None:
        """Says where it is: a pod's host name is its name."""
        self.data["podname"] = socket.gethostname()

    def set_status(self, status: WebhookStatus) -> None:
        """Says how it stands."""
        self.data["status"] = status.value

    def set_version(self) -> None:
        """Says which version of the project this is: ``HURRICANE_VERSION``, if it has one."""
        from django.conf import settings

        environment = os.environ.get("HURRICANE_VERSION") or None
        self.data["version"] = getattr(settings, "HURRICANE_VERSION", environment)

    def get_message(self) -> dict[str, Any]:
        """What is sent. Of a webhook that is not about one event, also about which it is."""
        if self.event is None or self.event == self.code:
            return self.data
        return {**self.data, "event": self.event}

    @staticmethod
    def _callback_webhook_exception_check(
        future: Future[None] | None,
        url: str,
        close_loop: bool,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Says what has gone wrong, and stops the loop if that was asked for."""
        error = future.exception() if future is not None else None
        if error is not None:
            log_unsent(url, error)
        if close_loop and loop is not None:
            logger.info("Loop will be closed")
            loop.call_soon_threadsafe(loop.stop)


def log_unsent(url: str, error: BaseException) -> None:
    """The wording is what users look for in their logs."""
    logger.warning("Sending webhook to %s has failed due to %s", shown(url), error)


def shown(url: str) -> str:
    """The URL without what may be secret."""
    try:
        return _core.shown_url(url)
    except ValueError:
        # Whoever sends it in a way of its own may know other URLs; its scheme tells no secret.
        return f"{url.partition(':')[0]}:…"
