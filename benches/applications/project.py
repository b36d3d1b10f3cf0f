"""A project of Django with one view and no middleware: what is counted is the way to it."""

import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"], INSTALLED_APPS=["hurricane"], ROOT_URLCONF=__name__, SECRET_KEY="counted"
)


def reviews(_request: HttpRequest, book: int) -> HttpResponse:
    """Tells which book was asked for."""
    return HttpResponse(f"reviews of {book}\n")


urlpatterns = [path("books/<int:book>/reviews", reviews)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
