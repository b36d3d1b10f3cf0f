"""What the scenarios ask for."""

import itertools
import time
from collections.abc import AsyncIterator, Iterator

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt

from measured.models import Book

ROWS = 1000
CHUNKS = 32
CHUNK = b"x" * 4096

# 1 KiB as JSON, with the separators that Django leaves in.
ITEMS = [{"id": 1000 + n, "name": f"item {n:03}", "tags": ["a", "b"]} for n in range(18)]
DESCRIPTION = {"items": ITEMS, "note": "n" * 29}
LINES = [{"number": 1000 + n, "title": f"Title & {n}", "price": n * 7} for n in range(161)]

keys = itertools.count()


def greet(_request: HttpRequest) -> HttpResponse:
    """Greets."""
    return HttpResponse("Hello, world!", content_type="text/plain")


def describe(_request: HttpRequest) -> HttpResponse:
    """Answers JSON of 1 KiB."""
    return JsonResponse(DESCRIPTION)


def read_row(_request: HttpRequest) -> HttpResponse:
    """Reads one row."""
    book = Book.objects.get(pk=next(keys) % ROWS + 1)
    return HttpResponse(f"{book.title:20}{book.author:20}{book.price:10}")


def render_page(request: HttpRequest) -> HttpResponse:
    """Renders a page of 20 KiB."""
    return render(request, "page.html", {"lines": LINES})


@csrf_exempt
def upload(request: HttpRequest) -> HttpResponse:
    """Reads a body, and says how long it was."""
    return HttpResponse(f"{len(request.body):10}")


def wait(_request: HttpRequest) -> HttpResponse:
    """Waits for 50 ms, as for a slow database."""
    time.sleep(0.05)
    return HttpResponse("waited")


def wait_second(_request: HttpRequest) -> HttpResponse:
    """Waits for a second."""
    time.sleep(1)
    return HttpResponse("waited")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Produces 128 KiB piece by piece."""
    is_async = isinstance(request, ASGIRequest)
    return StreamingHttpResponse(_produce_async() if is_async else _produce())


def _produce() -> Iterator[bytes]:
    for _ in range(CHUNKS):
        yield CHUNK


async def _produce_async() -> AsyncIterator[bytes]:
    for _ in range(CHUNKS):
        yield CHUNK
