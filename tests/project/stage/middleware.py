"""Says which worker answered."""

import os
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase


def name_the_worker(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Adds the worker's process id to every response."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response["Worker-Pid"] = str(os.getpid())
        return response

    return answer
