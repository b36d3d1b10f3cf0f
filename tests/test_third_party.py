"""Packages that stand around Django do the same through both interfaces."""

import base64
import json
import re
from collections.abc import Generator
from typing import Any

import pytest

from conftest import Starter
from packages import directory_with
from serving import TESTS, Server
from wire import Response

GUESTS = TESTS / "guests"
INTERFACES = ("wsgi", "django")
# What is random, or of the moment.
VOLATILE = re.compile(
    rb"(?<=csrfmiddlewaretoken\" value=\")\w+|(?<=csrfToken\": \")\w+|(?<=csrftoken=)\w+"
    rb"|(?<=sessionid=)\w+|(?<=expires=)[^;]+"
)
FORM = "Content-Type: application/x-www-form-urlencoded"
MULTIPART = "Content-Type: multipart/form-data; boundary=XX"
UPLOAD = (
    b'--XX\r\nContent-Disposition: form-data; name="name"\r\n\r\nJoe\r\n'
    b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    + b"text" * 2000
    + b"\r\n--XX--\r\n"
)


def visitor(starter: Starter, *flags: str, **env: str) -> Server:
    """The project, starting."""
    path = str(directory_with("third-party"))
    # Warnings of packages are theirs, and they have sets in their answers.
    env = {"PYTHONPATH": path, "PYTHONWARNINGS": "default", "PYTHONHASHSEED": "0", **env}
    # Copies would be as old as each server, and answers say how old.
    commands = ("--command", "collectstatic --link --noinput --verbosity 0")
    return starter(*flags, *commands, "--threads", "1", env=env, project=GUESTS, wait=False)


class Pair:
    """The project through WSGI, and below it."""

    def __init__(self, starter: Starter, *flags: str, **env: str) -> None:
        self.servers = [visitor(starter, "--interface", it, *flags, **env) for it in INTERFACES]
        for server in self.servers:
            server.wait_for_start()

    def interfaces(self) -> list[str]:
        """What each uses."""
        return [server.status()["interface"] for server in self.servers]

    def alike(self, method: str, path: str, *fields: str, body: bytes = b"") -> Response:
        """The answer that both give."""
        first, second = (ask(server, method, path, *fields, body=body) for server in self.servers)
        assert plain(first) == plain(second)
        return second


def ask(server: Server, method: str, path: str, *fields: str, body: bytes = b"") -> Response:
    """The answer to a request on a connection of its own."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close"]
    # Else it is given one, which is told.
    lines += ["X-Request-ID: visit", *fields]
    lines += [f"Content-Length: {len(body)}"] if body else []
    with server.connect() as connection:
        connection.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return connection.response(method)


def plain(response: Response) -> tuple[int, list[tuple[str, bytes]], bytes]:
    """What of a response is to be the same."""
    fields = [
        (name.lower(), VOLATILE.sub(b"X", value.encode("latin-1")))
        for name, value in response.headers
        if name.lower() not in ("date", "x-djdt-request-id")
    ]
    return response.status, fields, VOLATILE.sub(b"X", response.body)


@pytest.fixture(scope="module")
def starter() -> Generator[Starter]:
    starter = Starter("any")
    try:
        yield starter
    finally:
        starter.end()


@pytest.fixture(scope="module")
def pair(starter: Starter) -> Pair:
    pair = Pair(starter, "--command", "migrate --verbosity 0")
    assert pair.interfaces() == ["wsgi", "django"]
    return pair


def test_rest_framework_reads_and_renders_alike(pair: Pair) -> None:
    json_type = "Content-Type: application/json"
    for method in ("GET", "HEAD", "OPTIONS", "TRACE"):
        pair.alike(method, "/api/echo?a=1&a=2", "Accept: application/json")
        pair.alike(method, "/api/things/7/")
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = pair.alike(method, "/api/echo", json_type, body=b'{"a": ["\xc3\xa4", 1]}')
        assert answer.json()["data"] == {"a": ["\u00e4", 1]}
        form = pair.alike(method, "/api/echo", FORM, body=b"a=1&a=2").json()
        assert form["data"] == {"a": ["1", "2"]}
        assert form["address"] == "127.0.0.1"
    assert pair.alike("POST", "/api/echo", json_type, body=b"{").status == 400
    assert pair.alike("POST", "/api/echo", "Content-Type: a/b", body=b"x").status == 415
    uploaded = pair.alike("POST", "/api/echo", MULTIPART, body=UPLOAD).json()
    assert uploaded["files"] == {"file": ["a.txt", 8000, "text" * 2000]}
    assert uploaded["data"]["name"] == ["Joe"]
    root = pair.alike("GET", "/api/things/", "Accept: application/json").json()
    assert root == ["http://localhost/api/things/1/"]


def test_the_browsable_api_is_the_same_page(pair: Pair) -> None:
    for path in ("/api/", "/api/things/", "/api/echo", "/api/things/3/?format=api", "/api/none/"):
        page = pair.alike("GET", path, "Accept: text/html")
        assert page.status == (404 if path == "/api/none/" else 200)
    assert b"Django REST framework" in pair.alike("GET", "/api/", "Accept: text/html").body


def test_throttling_counts_by_address(pair: Pair) -> None:
    assert [pair.alike("GET", "/api/throttled").status for _ in range(3)] == [200, 200, 429]


def test_allauth_lets_a_new_user_in(pair: Pair) -> None:
    pair.alike("GET", "/accounts/login/?next=/who")
    assert pair.alike("GET", "/accounts/email/").header("location") == (
        "/accounts/login/?next=/accounts/email/"
    )
    for server in pair.servers:
        signed_up = submit(server, "/accounts/signup/", {
            "email": "", "username": "joe", "password1": "of-ages-9", "password2": "of-ages-9",
        })  # fmt: skip
        assert (signed_up.status, signed_up.header("location")) == (302, "/who")
        refused = submit(server, "/accounts/login/", {"login": "joe", "password": "wrong"})
        assert refused.status == 200
        assert b"are not correct" in refused.body
        let_in = submit(server, "/accounts/login/", {"login": "joe", "password": "of-ages-9"})
        assert let_in.status == 302
        cookie = f"Cookie: {cookies(let_in)}"
        assert ask(server, "GET", "/who", cookie).text == "user joe"
        user = "Authorization: Basic " + base64.b64encode(b"joe:of-ages-9").decode()
        assert ask(server, "GET", "/api/echo", user).json()["user"] == "joe"
        assert submit(server, "/accounts/logout/", {}, cookies(let_in)).status == 302
        assert ask(server, "GET", "/who", cookie).text == "user AnonymousUser"


def cookies(response: Response) -> str:
    """The cookies that a response sets, for a request."""
    return "; ".join(value.partition(";")[0] for value in response.all("set-cookie"))


def submit(server: Server, path: str, fields: dict[str, str], cookie: str = "") -> Response:
    """A form, with the token of its page."""
    page = ask(server, "GET", path, *([f"Cookie: {cookie}"] if cookie else []))
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token is not None, page
    form = "&".join(f"{k}={v}" for k, v in {"csrfmiddlewaretoken": token[1], **fields}.items())
    crumbs = "; ".join(filter(None, (cookie, cookies(page))))
    return ask(server, "POST", path, FORM, f"Cookie: {crumbs}", body=form.encode())


def test_the_toolbar_is_in_the_page_and_has_seen_the_request(pair: Pair) -> None:
    assert b"djDebug" not in pair.alike("GET", "/page").body
    panels = []
    for server in pair.servers:
        page = ask(server, "GET", "/page?toolbar", "X-Guest: seen", "Cookie: crumb=1")
        panels.append(re.findall(r'id="djdt-(\w+)', page.text))
        found = re.search(r'data-request-id="(\w+)"', page.text)
        assert found is not None, page.text
        for panel, text in (("HeadersPanel", "seen"), ("RequestPanel", "crumb")):
            query = f"request_id={found[1]}&panel_id={panel}"
            panel_page = ask(server, "GET", f"/__debug__/render_panel/?{query}")
            assert text in panel_page.json()["content"]
    assert panels[0] == panels[1]
    assert "HeadersPanel" in panels[1]


def test_whitenoise_serves_static_files(pair: Pair) -> None:
    got = pair.alike("GET", "/static/guests.css")
    assert got.body == b"body { color: green }\n"
    tag = f"If-None-Match: {got.header('etag')}"
    for method in ("GET", "HEAD"):
        for fields in ((), (tag,), ("Range: bytes=0-3",), ("Accept-Encoding: gzip",)):
            pair.alike(method, "/static/guests.css", *fields)
    assert pair.alike("POST", "/static/guests.css", body=b"x").status == 405
    assert pair.alike("GET", "/static/none.css").status == 404


def test_an_application_behind_whitenoise_is_called(starter: Starter) -> None:
    server = visitor(starter, GUEST="whitenoise")
    server.wait_for_start()
    assert ask(server, "GET", "/static/guests.css").status == 200
    assert ask(server, "GET", "/who").text == "user AnonymousUser"
    status = server.status()
    assert status["interface"] == "wsgi"
    assert "whitenoise.base.WhiteNoise, not Django's own" in status["interface_reason"]


def events(server: Server, name: str, count: int) -> list[Any]:
    """What a guest has noted."""
    return [json.loads(line) for line in server.wait_for_lines(name, count)]


def test_sentry_replaces_djangos_handler_and_so_is_called_through_wsgi(starter: Starter) -> None:
    servers = {
        "auto": visitor(starter, GUEST="sentry"),
        "wsgi": visitor(starter, "--interface", "wsgi", GUEST="sentry"),
    }
    for wanted, server in servers.items():
        server.wait_for_start()
        status = server.status()
        assert status["interface"] == "wsgi"
        if wanted == "auto":
            assert "was replaced by sentry_sdk" in status["interface_reason"]
        assert ask(server, "GET", "/fail?why=sentry", "X-Guest: seen").status == 500
        sent = events(server, "sentry", 2)
        event = next(it for it in sent if "exception" in it)
        transaction = next(it for it in sent if it["kind"] == "transaction")
        assert event["request"]["url"] == "http://localhost/fail"
        assert event["request"]["query_string"] == "why=sentry"
        assert event["request"]["headers"]["X-Guest"] == "seen"
        assert event["exception"]["values"][-1]["value"] == "failed for sentry"
        assert event["transaction"] == transaction["transaction"] == "/fail"


def test_opentelemetry_makes_the_same_spans(starter: Starter) -> None:
    pair = Pair(starter, GUEST="opentelemetry")
    assert pair.interfaces() == ["wsgi", "django"]
    trace = "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert pair.alike("GET", "/page?a=1", trace, "User-Agent: guest").status == 200
    assert pair.alike("GET", "/api/things/7/").status == 200
    assert pair.alike("GET", "/fail?why=span").status == 500
    assert pair.alike("GET", "/none").status == 404
    spans = [events(server, "spans", 4) for server in pair.servers]
    for server, own in zip(pair.servers, spans, strict=True):
        for span in own:
            of_server = {"net.host.port": server.port, "http.client_port": None}
            for name in (*of_server, "net.peer.port"):
                span["attributes"].pop(name, None)
    assert spans[0] == spans[1]
    page, _thing, failed, _missing = spans[1]
    assert page["name"] == "GET page"
    assert page["parent"] == "0af7651916cd43dd8448eb211c80319c"
    assert page["attributes"]["http.status_code"] == 200
    assert page["attributes"]["http.user_agent"] == "guest"
    assert failed["attributes"]["http.status_code"] == 500
