"""The URLs of both Django applications: one view that does nothing."""

from django.http import HttpRequest, HttpResponse
from django.urls import path


def greet(_request: HttpRequest) -> HttpResponse:
    """Greets."""
    return HttpResponse("Hello, world!", content_type="text/plain")


urlpatterns = [path("", greet)]
