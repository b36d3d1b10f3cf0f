"""Whom a consumer tells what it does: the server around it, or nobody."""

from typing import Protocol


class Report(Protocol):
    """What is told; :class:`hurricane._core.Report` puts it where probes and metrics find it."""

    def broker(self, state: str, remark: str) -> None:
        """How far the consumer is with its broker.

        That is ``connecting``, ``connected``, ``consuming`` or ``lost``; the remark has the
        broker's address, and what is wrong.
        """

    def received(self) -> None:
        """A message was delivered."""

    def settled(self, how: str) -> None:
        """A message was ``acked``, ``rejected`` or ``requeued``."""

    def began(self, line: str) -> None:
        """The calling thread begins to run the message that ``line`` names."""

    def ended(self, has_failed: bool) -> None:
        """That message has ended."""


class Silent:
    """Tells nobody, for a consumer that is run without a server."""

    def broker(self, state: str, remark: str) -> None:
        """See :class:`Report`."""

    def received(self) -> None:
        """See :class:`Report`."""

    def settled(self, how: str) -> None:
        """See :class:`Report`."""

    def began(self, line: str) -> None:
        """See :class:`Report`."""

    def ended(self, has_failed: bool) -> None:
        """See :class:`Report`."""
