"""Views that tell on which loop and thread they run, and meet each other there."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from pathlib import Path

from asgiref.sync import async_to_sync, sync_to_async
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)

SEEN: ContextVar[str] = ContextVar("seen", default="nothing")
GATE = asyncio.Event()
# Tasks are held weakly by their loop.
TASKS: list[asyncio.Task[None]] = []


def note(text: str) -> None:
    """A line in the file that the test reads."""
    with (Path(os.environ["STAGE_SIGNALS"]) / "looping").open("a") as lines:
        lines.write(f"{text}\n")


async def where(_request: HttpRequest) -> HttpResponseBase:
    """The loop, its thread, and the thread that sync code gets."""
    got = await sync_to_async(threading.get_ident)()
    names = sorted(thread.name for thread in threading.enumerate())
    loop = id(asyncio.get_running_loop())
    here = threading.current_thread().name
    return JsonResponse({"loop": loop, "here": here, "got": got, "threads": names})


async def wait(_request: HttpRequest) -> HttpResponseBase:
    """Waits for a request to ``open``, whichever thread that has."""
    note("waits")
    await GATE.wait()
    return HttpResponse("met")


async def open_gate(_request: HttpRequest) -> HttpResponseBase:
    """Lets those go on that wait."""
    GATE.set()
    return HttpResponse("opened")


async def context(_request: HttpRequest) -> HttpResponseBase:
    """What was set outside, and in a thread; sets it for those outside."""
    outside = SEEN.get()
    await sync_to_async(SEEN.set)("thread")
    inside = SEEN.get()
    SEEN.set("view")
    return HttpResponse(f"{outside} {inside}")


async def again(_request: HttpRequest) -> HttpResponseBase:
    """Sync code of a coroutine that runs a coroutine."""

    async def inner() -> int:
        return id(asyncio.get_running_loop())

    inside = await sync_to_async(async_to_sync(inner))()
    return HttpResponse(str(inside == id(asyncio.get_running_loop())))


async def leave_behind(_request: HttpRequest) -> HttpResponseBase:
    """A task that outlives the request."""

    async def later() -> None:
        await GATE.wait()
        note("later")

    TASKS.append(asyncio.create_task(later()))
    return HttpResponse("left")


async def end_loop(_request: HttpRequest) -> HttpResponseBase:
    """A task that asyncio lets end a loop."""

    async def leave() -> None:
        raise SystemExit(3)

    TASKS.append(asyncio.create_task(leave()))
    await asyncio.sleep(0)
    return HttpResponse("alive")


async def parts() -> AsyncIterator[str]:
    """Endless, and noticed when it ends."""
    try:
        yield "first"
        await GATE.wait()
        while True:
            yield "x" * 65_536
    finally:
        await asyncio.sleep(0)
        note("ended")


async def stream(_request: HttpRequest) -> HttpResponseBase:
    """A body without an end."""
    return StreamingHttpResponse(parts())


VIEWS: dict[str, Callable[[HttpRequest], Awaitable[HttpResponseBase]]] = {
    "where": where,
    "wait": wait,
    "open": open_gate,
    "context": context,
    "again": again,
    "leave": leave_behind,
    "end": end_loop,
    "stream": stream,
}


async def looping(request: HttpRequest, kind: str) -> HttpResponseBase:
    """A view of that kind."""
    return await VIEWS[kind](request)
