"""The request class of Django entered below WSGI."""

from __future__ import annotations

from typing import Any, SupportsIndex

from django.core.handlers import wsgi

from hurricane._core import LazyAttribute, RequestParts, whole_dict

STOCK = wsgi.WSGIRequest


class WSGIRequest(wsgi.WSGIRequest, RequestParts):
    """Django's request; what its ``__init__`` sets is made when it is first read.

    It has Django's name, because a request says its class's name in logs and error pages. Copies
    and pickles of it are Django's own.
    """

    environ = LazyAttribute("environ")
    META = LazyAttribute("META")
    method = LazyAttribute("method")
    path = LazyAttribute("path")
    path_info = LazyAttribute("path_info")
    content_type = LazyAttribute("content_type")
    content_params = LazyAttribute("content_params")
    _stream = LazyAttribute("_stream")
    COOKIES = LazyAttribute("COOKIES", vars(STOCK)["COOKIES"].func)
    GET = LazyAttribute("GET", vars(STOCK)["GET"].func)
    _read_started = False
    resolver_match = None

    # Who looks at all attributes at once sees what Django would have set.
    __dict__ = property(whole_dict)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:  # noqa: ANN401 - as object's
        """What Django's own request of these attributes says, whatever class it is of.

        Later protocols would refuse to make an object of another class.
        """
        twin = STOCK.__new__(STOCK)
        vars(twin).update(self.__dict__)
        return twin.__reduce_ex__(min(int(protocol), 1))
