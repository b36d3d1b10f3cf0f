"""Requests and responses, from the bytes on the wire to what Django sees."""

import hashlib
from contextlib import ExitStack
from typing import Any

import pytest

from contract.target import Serve
from wire import chunked, request

mark = pytest.mark


def echoed(
    serve: Serve, target: str, *headers: str, method: str = "GET", body: bytes = b""
) -> dict[str, Any]:
    """What Django saw of a request."""
    with serve.shared().connect(timeout=5.0) as connection:
        connection.send(request(method, target, *headers, "Connection: close", body=body))
        seen: dict[str, Any] = connection.response().json()
        return seen


@mark.row("requests.server-field")
def test_responses_name_the_server_without_its_version(serve: Serve) -> None:
    assert serve.shared().get("/").header("Server") == "hurricane"


@mark.old("requests.server-field")
def test_responses_named_the_server_and_its_version(serve: Serve) -> None:
    assert serve.shared().get("/").header("Server") == "Hurricane/1.6.2"


@mark.row("requests.date")
def test_responses_have_a_date(serve: Serve) -> None:
    assert serve.shared().get("/").header("Date")


@mark.old("requests.date")
def test_responses_had_no_date(serve: Serve) -> None:
    assert serve.shared().get("/").header("Date") is None


@mark.row("requests.head")
def test_head_has_a_length_and_no_body(serve: Serve) -> None:
    with serve.shared().connect() as connection:
        connection.send(request("HEAD", "/") + request("GET", "/", "Connection: close"))
        first = connection.response("HEAD")
        assert (first.status, first.header("Content-Length")) == (200, "5")
        assert connection.response().body == b"hello"


@mark.row("requests.keep-alive")
def test_connections_are_kept(serve: Serve) -> None:
    with serve.shared().connect() as connection:
        assert [connection.get("/").body for _ in range(3)] == [b"hello"] * 3


@mark.row("requests.pipelining")
def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    with serve.shared().connect() as connection:
        names = [b"a", b"b", b"c"]
        connection.send(b"".join(request("GET", f"/named/{name.decode()}") for name in names))
        assert [connection.response().body for _ in names] == names


@mark.row("requests.expect")
def test_a_client_that_asks_is_told_to_go_on(serve: Serve) -> None:
    with serve.shared().connect() as connection:
        connection.send(request("POST", "/echo", "Content-Length: 2", "Expect: 100-continue"))
        assert connection.head().status == 100
        connection.send(b"ok")
        assert connection.response().json()["length"] == 2


@mark.row("requests.http-1.0")
def test_http_1_0_is_answered_and_closed(serve: Serve) -> None:
    with serve.shared().connect() as connection:
        connection.send(request("GET", "/", version="HTTP/1.0"))
        assert connection.response().body == b"hello"
        assert connection.is_closed_by_peer()


@mark.row("requests.environ")
def test_django_is_told_the_peer_and_what_it_may_rely_on(serve: Serve) -> None:
    seen = echoed(serve, "/echo?a=b", "X-Forwarded-For: 10.0.0.1")
    meta = seen["meta"]
    assert meta["REMOTE_ADDR"] == "127.0.0.1"
    assert meta["HTTP_X_FORWARDED_FOR"] == "10.0.0.1"
    assert (seen["multithread"], seen["multiprocess"]) == (True, True)
    assert (meta["QUERY_STRING"], meta["PATH_INFO"]) == ("a=b", "/echo")
    assert (meta["SERVER_NAME"], meta["SERVER_PROTOCOL"]) == ("localhost", "HTTP/1.1")


@mark.row("requests.identifier-seen")
def test_an_identifier_that_came_is_seen(serve: Serve) -> None:
    assert echoed(serve, "/echo", "X-Request-ID: 4711")["meta"]["HTTP_X_REQUEST_ID"] == "4711"


@mark.row("requests.identifier")
def test_an_identifier_is_given_and_told(serve: Serve) -> None:
    answer = serve.shared().get("/echo")
    given = answer.header("X-Request-ID")
    assert given
    assert answer.json()["meta"]["HTTP_X_REQUEST_ID"] == given
    assert serve.shared().get("/", "X-Request-ID: 4711").header("X-Request-ID") == "4711"


@mark.old("requests.identifier")
def test_no_identifier_was_given_or_told(serve: Serve) -> None:
    answer = serve.shared().get("/echo")
    assert "HTTP_X_REQUEST_ID" not in answer.json()["meta"]
    assert answer.header("X-Request-ID") is None
    assert serve.shared().get("/", "X-Request-ID: 4711").header("X-Request-ID") is None


@mark.row("requests.body")
def test_a_body_arrives_whole(serve: Serve) -> None:
    body = bytes(range(256)) * 4000
    seen = echoed(serve, "/echo", method="POST", body=body)
    assert (seen["length"], seen["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())


@mark.row("requests.set-cookie")
def test_each_cookie_has_a_field_of_its_own(serve: Serve) -> None:
    assert len(serve.shared().get("/cookies").all("Set-Cookie")) == 2


REFUSED = {
    "no-host": b"GET / HTTP/1.1\r\n\r\n",
    "two-hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "length-and-coding": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    ),
    "two-lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "bad-length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    "negative-length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "bad-line": b"GET /\r\nHost: a\r\n\r\n",
    "space-before-colon": b"GET / HTTP/1.1\r\nHost: a\r\nX-A : b\r\n\r\n",
    "folded": b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n",
    "no-colon": b"GET / HTTP/1.1\r\nHost: a\r\nX-A\r\n\r\n",
}


@mark.row("requests.refused")
@mark.parametrize("which", REFUSED)
def test_what_is_no_http_is_answered_400_and_closed(serve: Serve, which: str) -> None:
    assert serve.shared().refused(REFUSED[which]) == 400


@mark.row("requests.refused-version")
def test_a_version_of_the_future_is_refused(serve: Serve) -> None:
    assert serve.shared().refused(b"GET / HTTP/9.9\r\nHost: a\r\n\r\n") == 505


@mark.old("requests.refused-version")
def test_a_version_of_the_future_was_a_bad_request(serve: Serve) -> None:
    assert serve.shared().refused(b"GET / HTTP/9.9\r\nHost: a\r\n\r\n") == 400


@mark.row("requests.bare-line-feed")
def test_a_bare_line_feed_is_refused(serve: Serve) -> None:
    assert serve.shared().refused(b"GET / HTTP/1.1\nHost: a\n\n") == 400


@mark.row("requests.equal-lengths")
def test_two_lengths_are_refused_even_when_they_are_equal(serve: Serve) -> None:
    length = "Content-Length: 2"
    assert serve.shared().refused(request("POST", "/echo", length, length) + b"ok") == 400


@mark.old("requests.equal-lengths")
def test_two_equal_lengths_were_one(serve: Serve) -> None:
    length = "Content-Length: 2"
    with serve.shared().connect(timeout=5.0) as connection:
        connection.send(request("POST", "/echo", length, length, "Connection: close") + b"ok")
        assert connection.response().json()["length"] == 2


@mark.row("requests.chunked")
def test_a_chunked_body_is_decoded(serve: Serve) -> None:
    with serve.shared().connect() as connection:
        connection.send(request("POST", "/echo", "Transfer-Encoding: chunked", "Connection: close"))
        connection.send(chunked(b"hello", b"world"))
        seen = connection.response().json()
        assert (seen["length"], seen["meta"]["CONTENT_LENGTH"]) == (10, "10")


@mark.row("requests.underscore")
def test_a_field_with_an_underscore_replaces_none(serve: Serve) -> None:
    seen = echoed(serve, "/echo", "X-Forwarded-For: 1.1.1.1", "X_Forwarded_For: 6.6.6.6")
    assert seen["meta"]["HTTP_X_FORWARDED_FOR"] == "1.1.1.1"


@mark.row("requests.two-cookies")
def test_two_cookie_fields_are_joined_as_cookies(serve: Serve) -> None:
    seen = echoed(serve, "/echo", "Cookie: a=1", "Cookie: b=2")
    assert seen["meta"]["HTTP_COOKIE"] == "a=1; b=2"


@mark.old("requests.two-cookies")
def test_two_cookie_fields_were_joined_by_a_comma(serve: Serve) -> None:
    seen = echoed(serve, "/echo", "Cookie: a=1", "Cookie: b=2")
    assert seen["meta"]["HTTP_COOKIE"] == "a=1,b=2"


@mark.row("requests.raw-path")
def test_a_raw_path_is_not_encoded_twice(serve: Serve) -> None:
    with serve.shared().connect() as connection:
        connection.send(b"GET /named/\xc3\xa4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert connection.response().text == "ä"


@mark.old("requests.raw-path")
def test_a_raw_path_was_encoded_twice(serve: Serve) -> None:
    with serve.shared().connect() as connection:
        connection.send(b"GET /named/\xc3\xa4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert connection.response().text == "Ã¤"


@mark.row("requests.absolute-form")
def test_a_target_may_be_a_whole_url(serve: Serve) -> None:
    with serve.shared().connect() as connection:
        connection.send(request("GET", "http://localhost/named/x", "Connection: close"))
        response = connection.response()
        assert (response.status, response.body) == (200, b"x")


@mark.old("requests.absolute-form")
def test_a_whole_url_was_not_found(serve: Serve) -> None:
    with serve.shared().connect() as connection:
        connection.send(request("GET", "http://localhost/named/x", "Connection: close"))
        assert connection.response().status == 404


@mark.row("requests.host-ipv6")
def test_an_ipv6_host_is_split_at_its_port(serve: Serve) -> None:
    with serve.shared().connect() as connection:
        connection.send(b"GET /echo HTTP/1.1\r\nHost: [::1]:8000\r\nConnection: close\r\n\r\n")
        meta = connection.response().json()["meta"]
        assert (meta["SERVER_NAME"], meta["SERVER_PORT"]) == ("::1", "8000")


@mark.old("requests.host-ipv6")
def test_an_ipv6_host_was_not_split(serve: Serve) -> None:
    with serve.shared().connect() as connection:
        connection.send(b"GET /echo HTTP/1.1\r\nHost: [::1]:8000\r\nConnection: close\r\n\r\n")
        meta = connection.response().json()["meta"]
        assert (meta["SERVER_NAME"], meta["SERVER_PORT"]) == ("[::1]:8000", "80")


@mark.row("requests.bad-host")
def test_a_host_with_a_strange_port_is_answered(serve: Serve) -> None:
    assert serve.shared().refused(b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n") == 400


@mark.row("requests.methods")
@mark.parametrize("method", ["FOO", "PROPFIND"])
def test_django_decides_which_methods_there_are(serve: Serve, method: str) -> None:
    assert echoed(serve, "/echo", method=method)["method"] == method


@mark.old("requests.methods")
@mark.parametrize("method", ["FOO", "PROPFIND"])
def test_django_was_asked_for_known_methods_only(serve: Serve, method: str) -> None:
    with serve.shared().connect(timeout=5.0) as connection:
        connection.send(request(method, "/echo", "Connection: close"))
        assert connection.response().status == 405


@mark.row("requests.connect")
def test_connect_is_refused_and_closed(serve: Serve) -> None:
    assert serve.shared().refused(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n") in {400, 405, 501}


@mark.row("requests.connect-status")
def test_connect_is_a_bad_request(serve: Serve) -> None:
    assert serve.shared().refused(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n") == 400


@mark.old("requests.connect-status")
def test_connect_was_a_method_that_is_not_allowed(serve: Serve) -> None:
    with serve.shared().connect(timeout=5.0) as connection:
        connection.send(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")
        assert connection.response().status == 405


@mark.row("requests.long-head")
def test_a_head_over_64_kib_is_answered_431(serve: Serve) -> None:
    head = f"GET / HTTP/1.1\r\nHost: a\r\nX-A: {'a' * 70_000}\r\n\r\n".encode()
    assert serve.shared().refused(head) == 431


@mark.old("requests.long-head")
def test_a_head_over_64_kib_was_not_answered(serve: Serve) -> None:
    head = f"GET / HTTP/1.1\r\nHost: a\r\nX-A: {'a' * 70_000}\r\n\r\n".encode()
    assert serve.shared().unanswered(head)


@mark.row("requests.empty-field")
def test_a_field_of_a_response_may_be_empty(serve: Serve) -> None:
    assert serve.shared().get("/fields").header("X-Empty") == ""


@mark.old("requests.empty-field")
def test_an_empty_field_of_a_response_was_dropped(serve: Serve) -> None:
    response = serve.shared().get("/fields")
    assert (response.status, response.header("X-Empty")) == (200, None)


@mark.row("requests.stripped-field")
def test_a_field_of_a_response_has_no_spaces_around_it(serve: Serve) -> None:
    head = serve.shared().get("/fields").head
    assert b"\r\nX-Spaced: spaced\r\n" in head


@mark.row("requests.no-content")
def test_a_response_without_content_has_no_length(serve: Serve) -> None:
    response = serve.shared().get("/empty")
    assert (response.status, response.header("Content-Length")) == (204, None)


@mark.old("requests.no-content")
def test_a_response_without_content_had_a_length(serve: Serve) -> None:
    response = serve.shared().get("/empty")
    assert (response.status, response.header("Content-Length")) == (204, "0")
    assert response.header("Content-Type")


@mark.row("requests.slow-clients")
def test_a_client_that_does_not_read_holds_no_memory(serve: Serve) -> None:
    target = serve.shared()
    size = 24 << 20
    before = target.forget_peak()
    with ExitStack() as silent:
        for _ in range(4):
            connection = silent.enter_context(target.connect(timeout=30.0))
            connection.send(request("GET", f"/generated?size={size}"))
            connection.head()
        assert target.peak_bytes() - before < 2 * size


@mark.row("requests.streaming")
def test_a_stream_is_sent_as_it_is_made(serve: Serve) -> None:
    target = serve.shared()
    with target.connect(timeout=target.patience) as connection:
        connection.send(request("GET", "/stream"))
        connection.head()
        try:
            assert connection.chunk() == b"first"
        finally:
            target.put("first-was-seen")


@mark.old("requests.streaming")
def test_a_stream_was_joined_before_it_was_sent(serve: Serve) -> None:
    target = serve.shared()
    target.put("first-was-seen")
    response = target.get("/stream")
    assert (response.body, response.header("Content-Length")) == (b"firstsecond", "11")


@mark.row("requests.breaking-stream")
def test_a_stream_that_breaks_closes_the_connection(serve: Serve) -> None:
    target = serve.shared()
    with target.connect(timeout=min(target.patience, 3.0)) as connection:
        connection.send(request("GET", "/breaks", "Connection: close"))
        assert not connection.rest().endswith(b"0\r\n\r\n")
    target.wait_for_text("the stream broke")


@mark.row("requests.spool")
def test_an_upload_is_not_kept_in_memory(serve: Serve) -> None:
    target = serve.shared()
    size = 64 << 20
    before = target.forget_peak()
    with target.connect(timeout=30.0) as connection:
        connection.send(request("POST", "/sink", f"Content-Length: {size}", "Connection: close"))
        for _ in range(64):
            connection.send(bytes(1 << 20))
        assert connection.response().json()["size"] == size
    assert target.peak_bytes() - before < size // 2


@mark.row("requests.client-gone")
def test_what_a_client_has_left_is_not_run(serve: Serve) -> None:
    target = serve("--workers", "1", env={"HURRICANE_THREADS": "1"})
    first = target.connect()
    first.send(request("GET", "/hold/gate"))
    target.wait_for_lines("gate-entered", 1)
    gone = target.connect()
    gone.send(request("GET", "/hold/left"))
    gone.reset()
    # Behind it in the queue; its answer shows that the other's turn has come and gone.
    last = target.connect(timeout=target.patience)
    last.send(request("GET", "/"))
    target.put("gate-open")
    try:
        assert last.response().body == b"hello"
    finally:
        target.put("left-open")
    assert target.lines("left-entered") == []


@mark.old("requests.client-gone")
def test_what_a_client_has_left_was_run(serve: Serve) -> None:
    target = serve("--workers", "1")
    first = target.connect()
    first.send(request("GET", "/hold/gate"))
    target.wait_for_lines("gate-entered", 1)
    gone = target.connect()
    gone.send(request("GET", "/hold/left"))
    if not serve.original:
        # Behind the first, on the only thread.
        target.until(lambda: target.status()["workers"][0]["queued"] == 1, "it to be read")
    gone.reset()
    target.put("gate-open")
    target.wait_for_lines("left-entered", 1)
    target.put("left-open")


@mark.row("requests.wsgi-application")
def test_the_projects_own_application_is_served(serve: Serve) -> None:
    target = serve.shared()
    target.get("/")
    assert len(target.lines("built")) == 1


@mark.old("requests.wsgi-application")
def test_the_projects_own_application_was_ignored(serve: Serve) -> None:
    target = serve.shared()
    target.get("/")
    assert target.lines("built") == []


@mark.row("requests.built-once")
def test_the_application_is_built_once(serve: Serve) -> None:
    target = serve.shared()
    for _ in range(3):
        target.get("/")
    assert len(target.lines("chains")) == 1


@mark.row("requests.exit-in-view")
def test_a_view_that_exits_ends_nothing(serve: Serve) -> None:
    target = serve()
    target.exchange(request("GET", "/exit", "Connection: close"))
    assert target.get("/").body == b"hello"
    assert target.process.poll() is None
