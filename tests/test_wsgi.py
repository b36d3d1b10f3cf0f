"""PEP 3333 to the letter, for any WSGI callable, on io_uring and on epoll."""

import json

import pytest

from condition import wait_until
from serving import Server
from wire import Closed, chunked, request


def test_wsgiref_validate_finds_nothing(wsgi: Server) -> None:
    for method, body in [("GET", b""), ("HEAD", b""), ("POST", b"body"), ("PUT", b"x" * 70_000)]:
        with wsgi.connect() as connection:
            connection.send(request(method, "/validated/a%20path?q=1", body=body))
            response = connection.response(method)
            assert response.status == 200, f"{method}: {wsgi.log()[-2000:]}"
    assert "AssertionError" not in wsgi.log()


def test_environ_holds_what_pep_3333_demands(wsgi: Server) -> None:
    raw = request(
        "POST",
        "/environ_as_json/p%C3%A4th%2F;x?a=%C3%A4&b",
        "Content-Type: text/x",
        "X-Thing: v",
        body=b"body",
    )
    with wsgi.connect() as connection:
        connection.send(raw)
        environ = connection.response().json()
    assert environ["is a dict"] is True
    assert environ["REQUEST_METHOD"] == "POST"
    assert environ["SCRIPT_NAME"] == "/environ_as_json"
    assert environ["PATH_INFO"] == "/päth/;x".encode().decode("latin-1")
    assert environ["QUERY_STRING"] == "a=%C3%A4&b"
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("text/x", "4")
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["HTTP_X_THING"] == "v"
    assert environ["wsgi.version"] == [1, 0]
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.multithread"] is True
    assert environ["wsgi.run_once"] is False
    assert environ["body"] == "body"
    assert "HTTP_CONTENT_LENGTH" not in environ
    assert "HTTP_CONTENT_TYPE" not in environ


def test_repeated_fields_are_joined_also_when_their_values_are_equal(wsgi: Server) -> None:
    for values in ["a", "a"], ["more than one"] * 3, ["a", "b", "a"]:
        fields = [f"X-Thing: {value}" for value in values]
        with wsgi.connect() as connection:
            connection.send(request("GET", "/environ_as_json", *fields, "Cookie: a", "Cookie: a"))
            environ = connection.response().json()
        assert environ["HTTP_X_THING"] == ", ".join(values)
        assert environ["HTTP_COOKIE"] == "a; a"


def test_a_value_is_never_that_of_an_earlier_request(wsgi: Server) -> None:
    with wsgi.connect() as connection:
        for value in ["one", "two", "", "two", "x" * 300, "y" * 300, "\xe9", "two"]:
            connection.send(request("GET", "/environ_as_json", f"X-Thing: {value}"))
            assert connection.response().json()["HTTP_X_THING"] == value
        connection.send(request("GET", "/environ_as_json"))
        environ = connection.response().json()
        assert "HTTP_X_THING" not in environ
        assert None not in environ.values()


def test_a_request_without_body_has_no_content_length(wsgi: Server) -> None:
    environ = wsgi.get("/environ_as_json").json()
    assert environ.get("CONTENT_LENGTH", "") == ""
    assert environ["QUERY_STRING"] == ""
    assert environ["body"] == ""


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_the_input_is_read_in_every_way(wsgi: Server, framing: str) -> None:
    body = b"abcdef\nghijk\nlmn\nopq\nrst\nrest without end"
    if framing == "length":
        raw = request("POST", "/reader", body=body)
    else:
        parts = chunked(body[:5], body[5:])
        raw = request("POST", "/reader", "Transfer-Encoding: chunked") + parts
    with wsgi.connect() as connection:
        connection.send(raw)
        read = connection.response().json()
    lines = ["abc", "def\n", "gh", "ijk\n", "lmn\n", "opq\n", "rst\nrest without end", "", ""]
    assert read == lines


def test_one_piece_gets_a_content_length(wsgi: Server) -> None:
    response = wsgi.get("/hello")
    assert response.header("Content-Length") == "5"
    assert response.header("Transfer-Encoding") is None


def test_what_write_was_given_comes_before_what_is_returned(wsgi: Server) -> None:
    assert wsgi.get("/writer").body == b"written twice and returned"


@pytest.mark.parametrize("query", ["", "?breaks"])
def test_close_is_called_once_on_the_thread_that_ran_the_application(
    wsgi: Server, query: str
) -> None:
    before = len(wsgi.lines("closed"))
    with wsgi.connect() as connection:
        connection.send(request("GET", f"/closing{query}"))
        assert connection.response().status == (500 if query else 200)
    assert wsgi.wait_for_lines("closed", before + 1)[before:] == ["same thread: True"]


def test_an_exception_before_the_headers_is_a_500(wsgi: Server) -> None:
    for path in ("/raising/before", "/raising/unsent", "/wrongly/no-start", "/wrongly/twice"):
        with wsgi.connect() as connection:
            response = connection.get(path)
            assert response.status == 500, path
            assert b"Traceback" not in response.body
    assert "before start_response" in wsgi.log()


def test_an_exception_after_the_headers_closes_the_connection(wsgi: Server) -> None:
    with wsgi.connect() as connection:
        connection.send(request("GET", "/raising/sent"))
        assert connection.head().status == 200
        assert connection.chunk() == b"sent"
        with pytest.raises(Closed):
            connection.chunk()
    wait_until(lambda: "after the headers were sent" in wsgi.log(), 5)


def test_headers_may_be_replaced_with_exc_info_until_they_are_sent(wsgi: Server) -> None:
    response = wsgi.get("/replaced")
    assert (response.status, response.reason) == (502, "Replaced")
    assert response.header("Old") is None
    assert response.header("New") == "1"
    assert response.body == b"replaced"


def test_replacing_headers_that_were_sent_raises_the_exception(wsgi: Server) -> None:
    with wsgi.connect() as connection:
        connection.send(request("GET", "/replaced/sent"))
        assert connection.head().status == 200
        assert connection.chunk() == b"sent"
        with pytest.raises(Closed):
            connection.chunk()
    wait_until(lambda: "not a number" in wsgi.log(), 5)


@pytest.mark.parametrize("path", ["text", "split", "status", "hop"])
def test_a_response_that_breaks_the_rules_is_a_500(wsgi: Server, path: str) -> None:
    with wsgi.connect() as connection:
        response = connection.get(f"/wrongly/{path}")
        assert response.status == 500
        assert b"Injected" not in response.head


def test_a_body_shorter_than_declared_closes_the_connection(wsgi: Server) -> None:
    with wsgi.connect() as connection:
        connection.send(request("GET", "/lengths/short"))
        response = connection.head()
        if response.status == 500:
            return
        assert response.header("Content-Length") == "10"
        assert connection.rest() == b"12345"


def test_a_body_longer_than_declared_is_cut(wsgi: Server) -> None:
    with wsgi.connect() as connection:
        connection.send(request("GET", "/lengths/long"))
        response = connection.response()
        assert response.body == b"1234567890"
        assert connection.buffer == b""


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/wrapped/file?0", b"0123456789" * 1000),
        ("/wrapped/file?9995", b"56789"),
        ("/wrapped/file?10000", b""),
        ("/wrapped/declared?3", b"3456789"),
        ("/wrapped/memory", b"in memory"),
        ("/wrapped/pipe", b"from a pipe"),
    ],
)
def test_file_wrapper_sends_what_is_left_of_a_file(wsgi: Server, path: str, body: bytes) -> None:
    (wsgi.signals / "file").write_bytes(b"0123456789" * 1000)
    with wsgi.connect() as connection:
        response = connection.get(path)
        assert response.body == body
        assert connection.get("/hello").body == b"hello"


def test_an_exception_in_close_is_logged_and_the_response_stands(wsgi: Server) -> None:
    assert wsgi.get("/close_raises").body == b"body"
    wait_until(lambda: "close raised" in wsgi.log(), 5)
    assert "about to raise in close" in wsgi.log()


def test_the_reason_phrase_is_the_applications(wsgi: Server) -> None:
    response = wsgi.get("/statuses/299%20Nearly%20OK")
    assert (response.status, response.reason) == (299, "Nearly OK")


def test_a_response_to_head_and_304_has_no_body(wsgi: Server) -> None:
    with wsgi.connect() as connection:
        connection.send(request("GET", "/statuses/304%20Not%20Modified"))
        assert connection.response().status == 304
        connection.send(request("HEAD", "/hello"))
        assert connection.response("HEAD").header("Content-Length") == "5"
        assert connection.get("/hello").body == b"hello"


def test_wsgi_errors_reach_stderr(wsgi: Server) -> None:
    wsgi.post("/validated", b"body")
    wait_until(lambda: "the validated application was called" in wsgi.log(), 5)


def test_environ_strings_are_latin_1(wsgi: Server) -> None:
    with wsgi.connect() as connection:
        connection.send(b"GET /environ_as_json/\xc3\xa4 HTTP/1.1\r\nHost: a\r\nX-A: \xe4\r\n\r\n")
        environ = connection.response().json()
    assert environ["PATH_INFO"] == "/\u00c3\u00a4"
    assert environ["HTTP_X_A"] == "\u00e4"
    assert json.dumps(environ)
