"""Answers of every kind."""

import datetime as dt
import io
import os
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import get_user_model, login, logout
from django.core import signals
from django.core.cache import cache, caches
from django.core.exceptions import (
    BadRequest,
    DisallowedHost,
    ImproperlyConfigured,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
)
from django.core.handlers.wsgi import WSGIHandler
from django.core.signing import BadSignature
from django.db import connection, connections, transaction
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseGone,
    HttpResponseNotAllowed,
    HttpResponseNotModified,
    HttpResponsePermanentRedirect,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import redirect, render
from django.template.response import SimpleTemplateResponse, TemplateResponse
from django.urls import get_script_prefix, get_urlconf, reverse, set_script_prefix, set_urlconf
from django.utils import timezone, translation
from django.views import View
from django.views.decorators.cache import cache_control, cache_page, never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import condition
from django.views.decorators.vary import vary_on_headers

from mirror.journal import LINES, note

HERE = Path(__file__).parent
THEN = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def hello(_request: HttpRequest) -> HttpResponse:
    """The shortest answer."""
    return HttpResponse("hello", content_type="text/plain")


def other(_request: HttpRequest) -> HttpResponse:
    """A view of the other URLconf."""
    return HttpResponse("other")


def named(_request: HttpRequest, number: int, name: str) -> HttpResponse:
    """What the path said."""
    return HttpResponse(f"{number} {name} {reverse('space:inner', args=[number, name])}")


def pair(_request: HttpRequest, *args: str) -> HttpResponse:
    """Unnamed groups."""
    return HttpResponse(repr(args))


def status(_request: HttpRequest, code: int) -> HttpResponse:
    """An answer of that status."""
    return HttpResponse(f"status {code}", status=code)


def missing(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The project's page for what is not there."""
    return HttpResponse(f"missing {request.path} {type(exception).__name__}", status=404)


def cookies() -> HttpResponse:
    """Cookies with everything that they can have."""
    response = HttpResponse("cookies")
    response.set_cookie("plain", "1")
    response.set_cookie("aged", "2", max_age=100, path="/x", domain="example.com")
    response.set_cookie("strict", 'a"b;c', secure=True, httponly=True, samesite="Strict")
    response.set_cookie("dated", "ä", expires=THEN.replace(year=2030))
    response.set_cookie("partial", "x", max_age=dt.timedelta(hours=1), samesite="None")
    response.set_signed_cookie("signed", "mine", salt="s")
    response.delete_cookie("gone")
    return response


def pieces(count: int = 3) -> Iterator[str]:
    """Text in pieces, one of them empty."""
    for number in range(count):
        yield f"piece {number} ä\n"
        yield ""


def closing() -> HttpResponse:
    """Notes the order in which things are closed."""
    response = HttpResponse("closing")
    closers = vars(response)["_resource_closers"]
    closers.append(lambda: note("first closer"))
    closers.append(lambda: 1 / 0)
    closers.append(lambda: note("last closer"))
    return response


class Overridden(HttpResponse):
    """A response whose methods are its own."""

    @property
    def reason_phrase(self) -> str:
        """Another one."""
        return "Overridden"

    @reason_phrase.setter
    def reason_phrase(self, value: str) -> None:
        pass

    def items(self) -> Any:
        """One more."""
        return [*super().items(), ("X-More", "1")]

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"over", b"ridden"])

    def close(self) -> None:
        """Noted."""
        note("overridden close")
        super().close()


class Derived(HttpResponse):
    """A response with a close of its own."""

    status_code = 203

    def close(self) -> None:
        """Noted."""
        note("derived close")
        super().close()


class NotAFile(io.BytesIO):
    """Something like a file without a descriptor."""

    name = "not-a-file.txt"


def patched() -> HttpResponse:
    """A close that is the instance's own."""
    response = HttpResponse("patched")
    close = response.close

    def both() -> None:
        note("patched close")
        close()

    vars(response)["close"] = both
    return response


def pipe() -> Any:
    """A file that is not regular."""
    reader, writer = os.pipe()
    os.write(writer, b"from a pipe")
    os.close(writer)
    return os.fdopen(reader, "rb")


def at(position: int) -> Any:
    """A file that was read to there."""
    file = (HERE / "views.py").open("rb")
    file.seek(position)
    return file


def written() -> HttpResponse:
    """Content in several parts."""
    response = HttpResponse("one ")
    response.write("two ")
    response.writelines(["three ", b"four"])
    return response


def changed(response: HttpResponse, **attributes: object) -> HttpResponse:
    """A response with other attributes."""
    for name, value in attributes.items():
        setattr(response, name, value)
    return response


def with_headers(**headers: str) -> HttpResponse:
    """A response with headers."""
    return HttpResponse("headers", headers={k.replace("_", "-"): v for k, v in headers.items()})


async def produce() -> AsyncIterator[str]:
    """Pieces of an async iterator."""
    for number in range(3):
        yield f"async {number}\n"


def produced() -> StreamingHttpResponse:
    """An async iterator behind a sync handler, of which Django warns."""
    warnings.simplefilter("ignore")
    return StreamingHttpResponse(produce())


def broken() -> Iterator[bytes]:
    """Fails after a piece."""
    yield b"begun"
    raise RuntimeError("the stream broke")


def broken_at_once() -> Iterator[bytes]:
    """Fails before the first."""
    yield from [b""] * (1 // 0)


def file_of(file: Any, **options: Any) -> FileResponse:
    """A file."""
    return FileResponse(file, **options)


MAKE: dict[str, Callable[[], Any]] = {
    "bytes": lambda: HttpResponse(b"\x00\xff"),
    "memory": lambda: HttpResponse(memoryview(b"memory")),
    "empty": HttpResponse,
    "iterator": lambda: HttpResponse(pieces()),
    "written": written,
    "number": lambda: HttpResponse(12),
    "latin": lambda: HttpResponse("ä", content_type="text/plain; charset=iso-8859-1"),
    "charset": lambda: HttpResponse("ä", charset="utf-16"),
    "large": lambda: HttpResponse("x" * 1_000_000),
    "compressible": lambda: HttpResponse("compressible " * 100),
    "json": lambda: JsonResponse({"a": [1, "ä", None], "d": THEN}),
    "json-list": lambda: JsonResponse([1], safe=False),
    "json-unsafe": lambda: JsonResponse([1]),
    "cookies": cookies,
    "reason": lambda: HttpResponse("reason", status=299, reason="Nearly fine"),
    "no-reason": lambda: HttpResponse("reason", status=404, reason=""),
    "reason-bytes": lambda: HttpResponse("reason", reason="Käse"),
    "latin-header": lambda: with_headers(X_Latin="ä"),
    "wide-header": lambda: with_headers(X_Wide="ä€\u1234"),
    "split-header": lambda: with_headers(X_Split="a\r\nb: c"),
    "own-length": lambda: with_headers(Content_Length="7"),
    "short-length": lambda: with_headers(Content_Length="3"),
    "own-date": lambda: with_headers(Date="Mon, 01 Jan 2024 00:00:00 GMT"),
    "own-server": lambda: with_headers(Server="mine"),
    "connection": lambda: with_headers(Connection="close"),
    "many": lambda: with_headers(**{f"X_{number}": str(number) for number in range(60)}),
    "redirect": lambda: redirect("/elsewhere?a=ä"),
    "redirect-301": lambda: HttpResponsePermanentRedirect("https://example.com/ä"),
    "redirect-bad": lambda: HttpResponseRedirect("javascript:alert(1)"),
    "redirect-named": lambda: redirect("space:inner", number=1, name="x"),
    "not-modified": HttpResponseNotModified,
    "not-allowed": lambda: HttpResponseNotAllowed(["GET", "PUT"]),
    "gone": HttpResponseGone,
    "string-status": lambda: changed(HttpResponse("s"), status_code="201"),
    "early": lambda: HttpResponse("early", status=103),
    "closing": closing,
    "overridden": lambda: Overridden("x"),
    "derived": lambda: Derived("derived"),
    "patched": patched,
    "stream": lambda: StreamingHttpResponse(pieces()),
    "stream-empty": lambda: StreamingHttpResponse([]),
    "stream-list": lambda: StreamingHttpResponse([b"a", "b", "", "c"]),
    "stream-length": lambda: StreamingHttpResponse(["12345"], headers={"Content-Length": "5"}),
    "stream-many": lambda: StreamingHttpResponse(pieces(200)),
    "stream-async": produced,
    "stream-broken": lambda: StreamingHttpResponse(broken()),
    "stream-broken-at-once": lambda: StreamingHttpResponse(broken_at_once()),
    "file": lambda: file_of((HERE / "views.py").open("rb")),
    "file-at": lambda: file_of(at(1000)),
    "file-attached": lambda: file_of(at(0), as_attachment=True, filename="ä.py"),
    "file-typed": lambda: file_of(at(0), content_type="x/y", headers={"X-File": "1"}),
    "file-memory": lambda: file_of(io.BytesIO(b"in memory"), filename="m.txt"),
    "file-nameless": lambda: file_of(NotAFile(b"not a file")),
    "file-pipe": lambda: file_of(pipe()),
    "file-iterator": lambda: file_of([b"one", b"two"]),
    "file-short": lambda: file_of((HERE / "__init__.py").open("rb")),
    "file-204": lambda: file_of((HERE / "__init__.py").open("rb"), status=204),
    "template": lambda: SimpleTemplateResponse("mirror/page.html", {"name": "simple"}),
    "none": lambda: None,
    "text": lambda: "text",
    "coroutine": produce,
}


@csrf_exempt
def make(request: HttpRequest, kind: str) -> Any:
    """A response of that kind."""
    response = MAKE[kind]()
    if "close" in request.GET and hasattr(response, "_resource_closers"):
        response._resource_closers.append(lambda: note(f"{kind} was closed"))  # noqa: SLF001
    return response


RAISE: dict[str, Callable[[], BaseException]] = {
    "404": lambda: Http404("not here"),
    "403": lambda: PermissionDenied("no"),
    "400": lambda: BadRequest("bad"),
    "suspicious": lambda: SuspiciousOperation("strange"),
    "host": lambda: DisallowedHost("host"),
    "large": lambda: RequestDataTooBig("large"),
    "fields": lambda: TooManyFieldsSent("many"),
    "multipart": lambda: MultiPartParserError("parts"),
    "configured": lambda: ImproperlyConfigured("wrong"),
    "value": lambda: ValueError("value"),
    "unicode": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    "signature": lambda: BadSignature("forged"),
    "exit": lambda: SystemExit(3),
    "interrupt": KeyboardInterrupt,
    "generator": GeneratorExit,
}


def fail(_request: HttpRequest, kind: str) -> HttpResponse:
    """Raises."""
    raise RAISE[kind]()


class Name(forms.Form):
    """A form."""

    name = forms.CharField(max_length=5)
    count = forms.IntegerField(min_value=1)


def form(request: HttpRequest) -> HttpResponse:
    """A form that has to be sent with a token."""
    bound = Name(request.POST or None)
    if request.method == "POST" and bound.is_valid():
        return JsonResponse(bound.cleaned_data)
    return render(request, "mirror/page.html", {"name": bound.errors.as_json()})


def page(request: HttpRequest) -> HttpResponse:
    """A template with a context of the request's."""
    messages.info(request, "informed")
    return TemplateResponse(request, "mirror/page.html", {"name": "page"})


@csrf_exempt
def session(request: HttpRequest, what: str) -> HttpResponse:
    """Sessions and users."""
    if what == "set":
        request.session["count"] = request.session.get("count", 0) + 1
    elif what == "flush":
        request.session.flush()
    elif what == "expiry":
        request.session.set_expiry(int(request.GET.get("age", 0)))
    elif what == "login":
        user, _new = get_user_model().objects.get_or_create(username="ada")
        login(request, user)
    elif what == "logout":
        logout(request)
    elif what == "cycle":
        request.session.cycle_key()
    return JsonResponse({"session": dict(request.session), "user": str(request.user)})


def set_language(_request: HttpRequest) -> None:
    """Leaves a language behind."""
    translation.activate("fr")


def set_zone(_request: HttpRequest) -> None:
    """Leaves a time zone behind."""
    timezone.activate("Asia/Tokyo")


def set_other(request: HttpRequest) -> None:
    """Leaves a URLconf behind, on the thread and on the request."""
    set_urlconf("mirror.other_urls")
    request.urlconf = "mirror.other_urls"


LOCAL: dict[str, Callable[[HttpRequest], object]] = {
    "urlconf": lambda _request: set_urlconf("mirror.other_urls"),
    "none": lambda _request: set_urlconf(None),
    "both": set_other,
    "prefix": lambda _request: set_script_prefix("/prefix"),
    "language": set_language,
    "zone": set_zone,
    "look": lambda _request: None,
}


def local(request: HttpRequest, what: str) -> HttpResponse:
    """What belongs to the thread, before and after the view changes it."""

    def now() -> list[object]:
        try:
            place = reverse("home")
        except Exception as error:  # noqa: BLE001 - which one is the question
            place = type(error).__name__
        zone = timezone.get_current_timezone_name()
        return [get_urlconf(), get_script_prefix(), translation.get_language(), zone, place]

    before = now()
    LOCAL[what](request)
    return JsonResponse({"before": before, "after": now()})


def started(sender: object, environ: dict[str, Any], **_kwargs: object) -> None:
    """Notes a request that begins, and changes it."""
    prefix = get_script_prefix()
    note(f"started {sender is WSGIHandler} {environ['PATH_INFO']!r} {get_urlconf()} {prefix}")
    environ["HTTP_X_ADDED"] = "by a receiver"
    if "HTTP_X_ELSEWHERE" in environ:
        environ["PATH_INFO"] = environ["HTTP_X_ELSEWHERE"]


def finished(sender: object, **_kwargs: object) -> None:
    """Notes a request that ends."""
    note(f"finished {sender is WSGIHandler} {get_urlconf()}")


def raised(sender: object, request: HttpRequest, **_kwargs: object) -> None:
    """Notes an exception."""
    note(f"got_request_exception {sender} {request.path} {request.resolver_match is not None}")


def refuse(**_kwargs: object) -> None:
    """A receiver that fails."""
    raise RuntimeError("a receiver raised")


RECEIVERS: dict[str, tuple[Any, Any]] = {
    "started": (signals.request_started, started),
    "finished": (signals.request_finished, finished),
    "raised": (signals.got_request_exception, raised),
    "refused-start": (signals.request_started, refuse),
    "refused-end": (signals.request_finished, refuse),
}


def signal(request: HttpRequest, what: str) -> HttpResponse:
    """Connects a receiver, or disconnects it."""
    which, receiver = RECEIVERS[what]
    if "off" in request.GET:
        which.disconnect(receiver)
    else:
        which.connect(receiver)
    return HttpResponse(f"{what} {len(which.receivers)}")


def cached(request: HttpRequest, kind: str) -> HttpResponseBase:
    """Answers that caches are told about."""
    plain: Callable[[HttpRequest], HttpResponse] = hello
    wrapped: dict[str, Callable[..., HttpResponseBase]] = {
        "page": cache_page(60)(lambda _request: HttpResponse(request.GET.urlencode())),
        "never": never_cache(plain),
        "control": cache_control(max_age=5, private=True)(plain),
        "vary": vary_on_headers("X-Test", "Cookie")(plain),
        "noted": lambda _request: HttpResponse(str(caches["noted"].get_or_set("key", 1))),
        "value": lambda _request: HttpResponse(str(cache.get_or_set("key", 2))),
    }
    return wrapped[kind](request)


@condition(etag_func=lambda _request: '"stable"', last_modified_func=lambda _request: THEN)
def conditional(_request: HttpRequest) -> HttpResponse:
    """An answer that clients may have."""
    return HttpResponse("conditional")


def database(_request: HttpRequest, what: str) -> HttpResponse:
    """Queries, transactions, and what is left of a connection."""
    users = get_user_model().objects
    if what == "count":
        return HttpResponse(str(users.filter(username="nobody").count()))
    if what == "atomic":
        with transaction.atomic():
            users.create(username="undone")
            transaction.set_rollback(True)
        inside = connections["atomic"].in_atomic_block
        return HttpResponse(f"{users.filter(username='undone').count()} {inside}")
    if what == "queries":
        connection.force_debug_cursor = True
        before = len(connection.queries_log)
        users.count()
        return HttpResponse(f"{before} {len(connection.queries_log)}")
    if what == "open":
        connection.ensure_connection()
        connection.close_at = 0.0
        return HttpResponse("open")
    if what == "broken":
        connection.ensure_connection()
        connection.errors_occurred = True
        return HttpResponse(str(settings.CONN_MAX_AGE if hasattr(settings, "CONN_MAX_AGE") else 0))
    return HttpResponse(str(connection.connection is not None))


class Kind(View):
    """A class with methods."""

    def get(self, request: HttpRequest, extra: str) -> HttpResponse:
        """Reads."""
        return HttpResponse(f"get {extra} {request.method} {self.request is request}")

    def put(self, request: HttpRequest, extra: str) -> HttpResponse:
        """Writes."""
        return HttpResponse(f"put {extra} {len(request.body)}", status=201)


def journal(_request: HttpRequest) -> HttpResponse:
    """What was noted since it was read last."""
    lines = "\n".join(LINES)
    LINES.clear()
    return HttpResponse(lines, content_type="text/plain")
