"""Views of Django and of Django REST framework."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from rest_framework.decorators import api_view, parser_classes, throttle_classes
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import AnonRateThrottle
from rest_framework.viewsets import ViewSet


def page(request: HttpRequest) -> HttpResponse:
    """A page that the toolbar can be in."""
    return render(request, "page.html")


def who(request: HttpRequest) -> HttpResponse:
    """The user's name."""
    return HttpResponse(f"user {request.user}")


def fail(request: HttpRequest) -> HttpResponse:
    """Raises what is not caught."""
    raise ValueError(f"failed for {request.GET['why']}")


@api_view(["GET", "POST", "PUT", "PATCH", "DELETE"])
@parser_classes([JSONParser, FormParser, MultiPartParser])
def echo(request: Request) -> Response:
    """What the framework made of a request."""
    files = {name: [it.name, it.size, it.read().decode()] for name, it in request.FILES.items()}
    data: Any = request.data
    if hasattr(data, "lists"):
        data = {name: values for name, values in data.lists() if name not in files}
    seen = {
        "method": request.method,
        "type": request.content_type,
        "query": dict(request.query_params.lists()),
        "data": data,
        "files": files,
        "user": str(request.user),
        "address": request.META["REMOTE_ADDR"],
    }
    return Response(seen)


@api_view(["GET"])
@throttle_classes([AnonRateThrottle])
def throttled(_request: Request) -> Response:
    """Twice a day for each address."""
    return Response("let in")


class Things(ViewSet):
    """A set of views behind a router."""

    def list(self, request: Request) -> Response:
        """All."""
        return Response([request.build_absolute_uri("1/")])

    def retrieve(self, _request: Request, pk: str) -> Response:
        """One."""
        return Response({"pk": pk})
