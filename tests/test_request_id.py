"""Requests have an identifier: the one that they bring, else one that they are given."""

import re
from collections.abc import Generator
from typing import Any

import pytest

import wire
from condition import wait_until
from conftest import Starter
from serving import Server
from wire import request

GIVEN = re.compile(r"[0-9a-f]{32}")
# What is not believed: nothing, more than a word, too long, no ASCII, and one of several.
UNUSABLE = [[""], ["a b"], ["i" * 129], ["\xe4"], ["a", "a"], ["a", "b c"], ["", "a"]]


@pytest.fixture(scope="module", params=["wsgi", "django"])
def site(engine: str, request: pytest.FixtureRequest) -> Generator[Server]:
    """A project, entered in both ways, that serves files and logs natively."""
    starter = Starter(engine)
    try:
        flags = ["--interface", request.param, "--max-body-size", "10k", "--log-probes"]
        files = ["--static-path", "/files=stage"]
        yield starter("--workers", "2", "--access-log", "native", *flags, *files)
    finally:
        starter.end()


def told(response: wire.Response) -> str:
    """The identifier that an answer tells, once."""
    return response.header("X-Request-ID") or ""


def seen(response: wire.Response) -> str | None:
    """The identifier that a view has seen."""
    meta: dict[str, Any] = response.json()["meta"]
    return meta.get("HTTP_X_REQUEST_ID")


def test_a_request_without_identifier_is_given_one_of_its_own(site: Server) -> None:
    answers = [site.get("/echo") for _ in range(20)]
    given = [told(answer) for answer in answers]
    assert all(GIVEN.fullmatch(identifier) for identifier in given), given
    assert len(set(given)) == len(given)
    assert [seen(answer) for answer in answers] == given
    wait_until(lambda: site.lines_with("GET /echo (127.0.0.1)"), 10)
    assert wait_until(lambda: site.lines_with(f" id={given[-1]}"), 10)


def test_workers_do_not_give_the_same(site: Server) -> None:
    given: dict[str, str] = {}

    def both() -> bool:
        answer = site.get("/")
        assert given.setdefault(told(answer), answer.header("Worker-Pid") or "") != ""
        return len(set(given.values())) == 2

    wait_until(both, 30)
    assert all(GIVEN.fullmatch(identifier) for identifier in given)


def test_an_identifier_that_came_is_kept_and_told(site: Server) -> None:
    for identifier in ("4711", "i" * 128, 'a=1;"b"', "550e8400-e29b-41d4-a716-446655440000"):
        answer = site.get("/echo", f"x-request-id:  {identifier} ")
        assert told(answer) == seen(answer) == identifier


@pytest.mark.parametrize("values", UNUSABLE)
def test_an_identifier_that_cannot_be_used_is_replaced(site: Server, values: list[str]) -> None:
    answer = site.get("/echo", *(f"X-Request-ID: {value}" for value in values))
    assert GIVEN.fullmatch(told(answer))
    assert seen(answer) == told(answer)


def test_what_the_application_says_wins(site: Server) -> None:
    answer = site.get("/handed?by=x-request-id&name=own", "X-Request-ID: came")
    assert answer.all("X-Request-ID") == ["own"]


@pytest.mark.parametrize(
    "path", ["/", "/generated?size=9", "/nowhere", "/raise", "/empty", "/files/urls.py"]
)
def test_every_kind_of_answer_tells_it(site: Server, path: str) -> None:
    for method in ("GET", "HEAD"):
        with site.connect() as connection:
            connection.send(request(method, path, "X-Request-ID: came"))
            assert told(connection.response(method)) == "came"
            connection.send(request(method, path))
            assert GIVEN.fullmatch(told(connection.response(method)))


def test_requests_on_a_connection_do_not_inherit_it(site: Server) -> None:
    with site.connect() as connection:
        connection.send(request("GET", "/echo", "X-Request-ID: first") + request("GET", "/echo"))
        first, second = connection.response(), connection.response()
    assert (told(first), seen(first)) == ("first", "first")
    assert GIVEN.fullmatch(told(second))
    assert seen(second) == told(second)


def test_answers_of_the_server_itself_tell_it(site: Server) -> None:
    refused = site.post("/sink", b"", "Content-Length: 20000", "X-Request-ID: too-long")
    assert (refused.status, told(refused)) == (413, "too-long")
    for path, status in (("/files/none", 404), ("/files/..%2f", 403)):
        missing = site.get(path, "X-Request-ID: missing")
        assert (missing.status, told(missing)) == (status, "missing")
    fresh = site.get("/files/urls.py")
    kept = site.get("/files/urls.py", f"If-None-Match: {fresh.header('ETag')}")
    assert kept.status == 304
    assert GIVEN.fullmatch(told(kept))
    assert told(kept) != told(fresh)


def test_what_could_not_be_read_and_probes_have_none(site: Server) -> None:
    with site.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: came\r\nbad line\r\n\r\n")
        refused = connection.response()
    assert (refused.status, told(refused)) == (400, "")
    assert told(site.probe("/alive").response) == ""


def test_any_callable_sees_it(wsgi: Server) -> None:
    answer = wsgi.get("/environ_as_json")
    assert GIVEN.fullmatch(told(answer))
    assert answer.json()["HTTP_X_REQUEST_ID"] == told(answer)


@pytest.mark.parametrize("flags", [["--no-request-id"], ["--compat", "1.6"]])
def test_nothing_is_given_or_told_where_that_is_not_wanted(
    start_once: Starter, flags: list[str]
) -> None:
    server = start_once("--access-log", "native", *flags)
    answer = server.get("/echo")
    assert (told(answer), seen(answer)) == ("", None)
    answer = server.get("/echo", "X-Request-ID: came")
    assert (told(answer), seen(answer)) == ("", "came")
    wait_until(lambda: server.lines_with(" id=came"), 10)
    answer = server.get("/echo", "X-Request-ID: a b")
    assert (told(answer), seen(answer)) == ("", "a b")
