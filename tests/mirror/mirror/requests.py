"""What Django saw of a request."""

import copy
import hashlib
import pickle
from collections.abc import Callable
from typing import Any

from django.core.exceptions import BadRequest
from django.core.files.uploadhandler import StopUpload, TemporaryFileUploadHandler
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse, JsonResponse, RawPostDataException
from django.views.decorators.csrf import csrf_exempt

OF_THE_CONNECTION = {"REMOTE_PORT", "SERVER_PORT"}


def meta(request: HttpRequest) -> dict[str, Any]:
    """What of META is text, and the types of the rest, in order."""
    return {
        key: value if isinstance(value, str | bool | tuple) else type(value).__name__
        for key, value in request.META.items()
        if key not in OF_THE_CONNECTION and not key.startswith("hurricane.")
    }


@csrf_exempt
def seen(request: HttpRequest, rest: str = "") -> JsonResponse:
    """Everything that a request says of itself."""
    files = {
        name: [(it.name, it.size, it.content_type) for it in request.FILES.getlist(name)]
        for name in request.FILES
    }
    return JsonResponse(
        {
            "rest": rest,
            "method": request.method,
            "path": [request.path, request.path_info, request.get_full_path()],
            "info": request.get_full_path_info(force_append_slash=True),
            "host": [request.get_host(), request.get_port() == request.META["SERVER_PORT"]],
            "scheme": [request.scheme, request.is_secure()],
            "absolute": [request.build_absolute_uri(), request.build_absolute_uri("../x?y=ä")],
            "type": [request.content_type, request.content_params, request.encoding],
            "GET": list(request.GET.lists()),
            "encoded": [request.GET.urlencode(), request.GET.encoding],
            "POST": list(request.POST.lists()),
            "FILES": files,
            "COOKIES": list(request.COOKIES.items()),
            "headers": list(request.headers.items()),
            "accepts": [request.accepts(kind) for kind in ("text/html", "application/json")],
            "META": meta(request),
            "match": repr(request.resolver_match),
            "repr": repr(request),
            "length": request.META.get("CONTENT_LENGTH"),
        }
    )


def twins(request: HttpRequest) -> object:
    """A copy of a request, and what it shares."""
    twin = copy.copy(request)
    return [
        isinstance(twin, WSGIRequest),
        twin.META is request.META,
        sorted(vars(twin)) == sorted(vars(request)),
        twin.path,
        twin.GET.dict(),
        twin.COOKIES,
        repr(twin),
    ]


def pickled(request: HttpRequest) -> object:
    """A request that was pickled, where Django allows that."""
    request.META.pop("wsgi.errors")
    request.META.pop("wsgi.input")
    request.META.pop("wsgi.file_wrapper", None)
    for name in [name for name, value in request.META.items() if not isinstance(value, str)]:
        del request.META[name]
    for name in ("session", "user", "_messages", "auser", "_stream", "resolver_match"):
        vars(request).pop(name, None)
    try:
        twin = pickle.loads(pickle.dumps(request))
    except Exception as error:  # noqa: BLE001 - which one is the question
        return type(error).__name__
    return [type(twin).__name__, twin.path, sorted(meta(twin)), twin.GET.dict(), twin.COOKIES]


def encoded(request: HttpRequest) -> object:
    """The query before and after the encoding was set."""
    before = request.GET.dict()
    request.encoding = "iso-8859-1"
    return [before, request.GET.dict(), request.GET.encoding, request.encoding]


def changed(request: HttpRequest) -> object:
    """Attributes that are set and deleted."""
    request.GET  # noqa: B018 - it is made when it is read
    del request.GET
    request.COOKIES = {"mine": "1"}
    request.method = "MINE"
    request.META["MINE"] = "2"
    return [
        request.GET.dict(),
        request.COOKIES,
        request.method,
        vars(request)["environ"]["MINE"],
        vars(request)["environ"] is request.META,
    ]


def shapes(request: HttpRequest) -> object:
    """Attributes by name, as debuggers see them."""
    known = {name for name in dir(request) if name not in {"__reduce_ex__", "__weakref__"}}
    made = [name for name in ("_post", "_files", "_body", "urlconf") if hasattr(request, name)]
    return [sorted(vars(request)), sorted(known - set(dir(object))), made]


def immutable(request: HttpRequest) -> object:
    """The query is not to be changed; a copy is."""
    query: Any = request.GET
    refused = ""
    try:
        query["x"] = "y"
    except AttributeError as error:
        refused = str(error)
    mine = request.GET.copy()
    mine["x"] = "ä"
    mine.appendlist("x", "2")
    deep = copy.deepcopy(request.GET)
    loaded = pickle.loads(pickle.dumps(request.GET))
    return [refused, mine.urlencode(), deep.urlencode(), loaded == request.GET, repr(request.GET)]


LOOKS: dict[str, Callable[[HttpRequest], object]] = {
    "twins": twins,
    "pickled": pickled,
    "encoded": encoded,
    "changed": changed,
    "shapes": shapes,
    "immutable": immutable,
    "header": lambda request: [
        request.headers.get("x-Test"),
        "X_TEST" in request.headers,
        request.headers.get("Content-Length"),
        request.headers.get("nothing", "default"),
    ],
    "signed": lambda request: request.get_signed_cookie("signed", default="none"),
    "preferred": lambda request: getattr(request, "get_preferred_type", lambda _kinds: None)(
        ["text/html", "application/json"]
    ),
    "user": lambda request: [str(request.user), request.user.is_authenticated],
    "language": lambda request: getattr(request, "LANGUAGE_CODE", None),
    "environ": lambda request: sorted(vars(request)["environ"]) == sorted(request.META),
}


@csrf_exempt
def look(request: HttpRequest, what: str) -> JsonResponse:
    """A single look at a request."""
    return JsonResponse(LOOKS[what](request), safe=False)


def body_twice(request: HttpRequest) -> object:
    """The body, then the form in it."""
    return [digest(request.body), request.POST.dict(), digest(request.body), digest(request.read())]


def form_then_body(request: HttpRequest) -> object:
    """The form, then the body that it was in."""
    form = request.POST.dict()
    try:
        return [form, digest(request.body)]
    except RawPostDataException as error:
        return [form, str(error)]


def read_then_form(request: HttpRequest) -> object:
    """Some bytes, then what is left of a form."""
    begin = request.read(3).decode("latin-1")
    return [begin, request.POST.dict(), digest(request.read())]


def digest(data: bytes) -> str:
    """Length and hash."""
    return f"{len(data)} {hashlib.sha256(data).hexdigest()[:12]}"


READS: dict[str, Callable[[HttpRequest], object]] = {
    "body": lambda request: digest(request.body),
    "twice": body_twice,
    "form": form_then_body,
    "begin": read_then_form,
    "pieces": lambda request: [len(piece) for piece in iter(lambda: request.read(1000), b"")],
    "lines": lambda request: [digest(line) for line in request],
    "readline": lambda request: [digest(request.readline()), digest(request.readline(5))],
    "readlines": lambda request: len(request.readlines()),
    "input": lambda request: digest(request.META["wsgi.input"].read()),
    "stream": lambda request: digest(request._stream.read(10)),  # noqa: SLF001
    "nothing": lambda _request: "unread",
    "json": lambda request: request.body.decode(),
}


@csrf_exempt
def read(request: HttpRequest, how: str) -> JsonResponse:
    """Reads the body in a way."""
    return JsonResponse(READS[how](request), safe=False)


class Quota(TemporaryFileUploadHandler):
    """Stops an upload that is too long."""

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Counts."""
        if start > 50_000:
            raise StopUpload(connection_reset=True)
        super().receive_data_chunk(raw_data, start)


@csrf_exempt
def upload(request: HttpRequest) -> HttpResponse:
    """Files, with handlers of the view's choice."""
    if "quota" in request.GET:
        request.upload_handlers.insert(0, Quota(request))
    if "bad" in request.GET:
        raise BadRequest("no uploads")
    answer = [
        [name, it.name, it.size, it.content_type, it.charset, digest(it.read()), type(it).__name__]
        for name in request.FILES
        for it in request.FILES.getlist(name)
    ]
    return JsonResponse([answer, request.POST.dict()], safe=False)
