"""The event loop of a worker, on which runs what is asynchronous in a project.

Django calls coroutines from its sync handler through asgiref, which makes a thread and an event
loop for each such call, unless it finds the loop that sync code was called from. An application
thread finds this one there. So what a project keeps between requests and belongs to a loop
(connections of a client, locks) goes on working, as under ASGI, and code that asks for its thread
gets the application thread, which waits, as always.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from asgiref.sync import SyncToAsync, async_to_sync, sync_to_async

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from django.http import StreamingHttpResponse

logger = logging.getLogger("hurricane.server.application")


class WorkerLoop:
    """An event loop as asgiref uses it; there is none before the first coroutine."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def is_running(self) -> bool:
        """It runs when it is needed."""
        return True

    def call_soon_threadsafe(self, callback: Callable[..., Any], *arguments: Any) -> None:  # noqa: ANN401
        """As the event loop's."""
        self._running().call_soon_threadsafe(callback, *arguments)

    def create_task(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """As the event loop's, on its thread."""
        return self._running().create_task(coroutine)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._loop.is_closed():
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=run, args=(self._loop,), name="event-loop", daemon=True
                ).start()
            return self._loop


def run(loop: asyncio.AbstractEventLoop) -> None:
    """The life of the loop's thread; others wait for it, so no task can end it."""
    asyncio.set_event_loop(loop)
    while not loop.is_closed():
        try:
            loop.run_forever()
        except BaseException:
            logger.exception("a task has raised out of the event loop")


LOOP = WorkerLoop()


def join() -> None:
    """Lets asgiref find the loop from the calling thread."""
    found: Any = SyncToAsync.threadlocal
    found.main_event_loop = LOOP
    # A process that a view forks has no such thread.
    found.main_event_loop_pid = os.getpid()


def stream(response: StreamingHttpResponse, send: Callable[[bytes], bool]) -> None:
    """Sends an asynchronous body, a part when it is there.

    ``send`` is called on this thread, and says whether more is wanted.
    """
    wanted = sync_to_async(send)

    async def pump() -> None:
        parts: Any = response.streaming_content
        try:
            async for part in parts:
                if not await wanted(part):
                    break
        finally:
            # Now, and not when the collector finds them: they may hold connections.
            for iterator in (parts, vars(response).get("_iterator")):
                close = getattr(iterator, "aclose", None)
                if close is not None:
                    await close()

    async_to_sync(pump)()
