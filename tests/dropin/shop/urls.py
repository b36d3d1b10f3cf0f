"""The views."""

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt


def index(_request: HttpRequest) -> HttpResponse:
    """A page."""
    return HttpResponse("the shop")


@csrf_exempt
def upload(request: HttpRequest) -> HttpResponse:
    """The name and the size of a file that was sent."""
    sent = request.FILES["file"]
    return HttpResponse(f"{sent.name} {sent.size}")


urlpatterns = [path("", index), path("upload", upload)]
