"""Views that are coroutines."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import get_script_prefix, get_urlconf
from django.utils import translation
from django.views import View

from mirror.views import broken, cookies, pieces


async def count() -> HttpResponse:
    """Asks the database from a coroutine."""
    return HttpResponse(str(await get_user_model().objects.filter(username="nobody").acount()))


async def sleep() -> HttpResponse:
    """Waits."""
    await asyncio.sleep(0.001)
    return HttpResponse("slept")


async def together() -> HttpResponse:
    """Does several things at the same time."""
    done = await asyncio.gather(*(asyncio.sleep(0.001, number) for number in range(5)))
    return HttpResponse(str(done))


async def local() -> HttpResponse:
    """What belongs to the thread, in the coroutine and in a thread that it asks."""
    here = [get_urlconf(), get_script_prefix(), translation.get_language()]
    there = await sync_to_async(
        lambda: [get_urlconf(), get_script_prefix(), translation.get_language()]
    )()
    return JsonResponse([here, there], safe=False)


async def task() -> HttpResponse:
    """A task that the view waits for."""
    return HttpResponse(await asyncio.create_task(asyncio.sleep(0, "done")))


async def missing() -> HttpResponse:
    """Raises what Django answers."""
    raise Http404("waited for nothing")


async def failing() -> HttpResponse:
    """Raises."""
    raise ValueError("waiting failed")


async def made(make: Callable[[], Any]) -> Any:
    """Answers what a function makes."""
    return make()


KINDS: dict[str, Callable[[], Awaitable[Any]]] = {
    "count": count,
    "sleep": sleep,
    "together": together,
    "local": local,
    "task": task,
    "404": missing,
    "value": failing,
    "cookies": lambda: made(cookies),
    "stream": lambda: made(lambda: StreamingHttpResponse(pieces())),
    "broken": lambda: made(lambda: StreamingHttpResponse(broken())),
    "none": lambda: made(lambda: None),
}


async def waiting(request: HttpRequest, kind: str) -> Any:
    """A coroutine of that kind."""
    if "user" in request.GET:
        user = await request.auser()
        return HttpResponse(str(user))
    return await KINDS[kind]()


class Kind(View):
    """A class whose methods are coroutines."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        """Answers the query."""
        return HttpResponse(f"class {request.GET.urlencode()}")
