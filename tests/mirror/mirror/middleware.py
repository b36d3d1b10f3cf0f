"""Middleware of each kind."""

import threading
from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.utils.decorators import sync_and_async_middleware

from mirror.journal import note
from mirror.looping import SEEN

Answer = Callable[[HttpRequest], Any]


class Outermost:
    """Sees every request first; may answer, raise, or make nonsense of it."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase | None:
        """Does what the header asks for."""
        wish = request.META.get("HTTP_X_OUTERMOST")
        if wish == "answer":
            return HttpResponse("outermost")
        if wish == "raise":
            raise ValueError("outermost")
        if wish == "exit":
            raise SystemExit(3)
        if wish == "none":
            return None
        if wish == "meta":
            request.META = {**request.META, "HTTP_COOKIE": "changed=1", "QUERY_STRING": "changed=2"}
        if wish == "cookie":
            request.META["HTTP_COOKIE"] = "changed=3"
            request.META["QUERY_STRING"] = "changed=4"
        if wish == "path":
            request.path_info = "/hello"
        response: HttpResponseBase = self.get_response(request)
        if wish == "after":
            raise ValueError("after")
        response["X-Outermost"] = "seen"
        return response


@sync_and_async_middleware
def either_way(get_response: Answer) -> Answer:
    """A function that can do both."""
    if iscoroutinefunction(get_response):

        async def answer(request: HttpRequest) -> HttpResponseBase:
            waiting: Awaitable[HttpResponseBase] = get_response(request)
            return await waiting

        return answer

    def answer_at_once(request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = get_response(request)
        response["X-Either"] = "sync"
        return response

    return answer_at_once


class Inner:
    """Has every hook."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Passes it on; tells its thread and its context where a view asks for them."""
        if not request.path.startswith("/looping/"):
            answer: HttpResponseBase = self.get_response(request)
            return answer
        token = SEEN.set("middleware")
        response: HttpResponseBase = self.get_response(request)
        response["X-Seen"] = SEEN.get()
        response["X-Thread"] = str(threading.get_ident())
        SEEN.reset(token)
        return response

    def process_view(
        self, request: HttpRequest, view: Answer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """Notes the view."""
        if "HTTP_X_VIEW" in request.META:
            return HttpResponse(f"{view.__name__} {args} {sorted(kwargs.items())}")
        return None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answers some exceptions."""
        note(f"process_exception {type(exception).__name__}")
        if "HTTP_X_CATCH" in request.META:
            return HttpResponse(f"caught {exception}", status=418)
        return None

    def process_template_response(
        self, _request: HttpRequest, response: SimpleTemplateResponse
    ) -> SimpleTemplateResponse:
        """Adds to the context."""
        response.context_data = {**(response.context_data or {}), "added": "by middleware"}
        return response
