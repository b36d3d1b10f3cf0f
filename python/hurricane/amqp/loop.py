"""The loop of one connection, as other threads reach it: ``pika`` may be called on it only."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

# The loop never waits for who calls it, so this is for a machine that stands still.
CALL_SECONDS_MAX = 30.0


class LoopEndedError(ConnectionError):
    """The connection is gone, and with it the thread that could have talked to the broker."""


class Loop:
    """Runs calls on the thread of an I/O loop, in order.

    Invariant: what was scheduled is run, or its caller told that the loop has ended.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ioloop: Any = None
        self._thread: int | None = None
        # What came before the loop was there, and what waits for an answer.
        self._early: list[Callable[[], object]] = []
        self._awaited: set[Future[Any]] = set()
        self._has_ended = False

    def run(self, ioloop: Any) -> None:  # noqa: ANN401 - of pika, tornado or asyncio
        """Runs the loop on this thread until it is stopped."""
        with self._lock:
            self._ioloop, self._thread = ioloop, threading.get_ident()
            early, self._early = self._early, []
        for call in early:
            self._hand_over(call)
        try:
            ioloop.start()
        finally:
            self._end()

    def _end(self) -> None:
        with self._lock:
            self._has_ended = True
            awaited, self._awaited = self._awaited, set()
        for answer in awaited:
            answer.set_exception(LoopEndedError("the connection to the broker is gone"))
        # A connection that was given up half-way may still have something in it.
        with contextlib.suppress(Exception):
            self._ioloop.close()

    def _hand_over(self, call: Callable[[], object]) -> None:
        add = getattr(self._ioloop, "add_callback_threadsafe", None) or self._ioloop.add_callback
        add(call)

    def schedule(self, call: Callable[[], object]) -> bool:
        """Has ``call`` run on the loop soon; false when the loop has ended."""
        with self._lock:
            if self._has_ended:
                return False
            if self._ioloop is None:
                self._early.append(call)
            else:
                self._hand_over(call)
        return True

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls ``function`` on the loop; returns what it returns, raises what it raises."""
        if self._thread is None or threading.get_ident() == self._thread:
            return function(*args, **kwargs)
        answer: Future[T] = Future()

        def answered() -> None:
            with self._lock:
                self._awaited.discard(answer)
            if not answer.set_running_or_notify_cancel():
                return
            try:
                answer.set_result(function(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                answer.set_exception(error)

        with self._lock:
            self._awaited.add(answer)
        if not self.schedule(answered):
            raise LoopEndedError("the connection to the broker is gone")
        return answer.result(CALL_SECONDS_MAX)
