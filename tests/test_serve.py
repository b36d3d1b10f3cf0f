"""HTTP as Django and its clients see it, on io_uring and on epoll."""

import email.utils
import hashlib
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from condition import wait_until
from serving import Server
from wire import CRLF2, Closed, Connection, chunked, request

MIB = 1024 * 1024


def echo(server: Server, raw: bytes) -> dict[str, Any]:
    with server.connect() as connection:
        connection.send(raw)
        response = connection.response()
        assert response.status == 200, response
        seen: dict[str, Any] = response.json()
        return seen


def test_a_connection_serves_many_requests(server: Server) -> None:
    with server.connect() as connection:
        for _ in range(20):
            response = connection.get("/")
            assert (response.status, response.body) == (200, b"hello")
            assert response.header("Connection") in (None, "keep-alive")


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    with server.connect() as connection:
        connection.send(b"".join(request("GET", f"/named/{n}") for n in range(50)))
        assert [connection.response().text for _ in range(50)] == [str(n) for n in range(50)]


def test_a_pipelined_request_after_a_body_is_seen(server: Server) -> None:
    with server.connect() as connection:
        connection.send(request("POST", "/sink", body=b"x" * 10) + request("GET", "/named/next"))
        assert connection.response().json()["size"] == 10
        assert connection.response().text == "next"


def test_a_request_may_come_byte_by_byte(server: Server) -> None:
    with server.connect() as connection:
        for byte in request("POST", "/sink", body=b"body"):
            connection.send(bytes([byte]))
        assert connection.response().json() == {"size": 4, "declared": "4"}


def test_head_has_the_headers_of_get_and_no_body(server: Server) -> None:
    with server.connect() as connection:
        connection.send(request("HEAD", "/") + request("GET", "/"))
        head, get = connection.response("HEAD"), connection.response()
        assert head.header("Content-Length") == get.header("Content-Length") == "5"
        assert (head.body, get.body) == (b"", b"hello")


def test_http_10_is_answered_and_closed(server: Server) -> None:
    with server.connect() as connection:
        connection.send(b"GET / HTTP/1.0\r\n\r\n")
        response = connection.response()
        assert response.body == b"hello"
        assert response.header("Transfer-Encoding") is None
        assert connection.is_closed_by_peer()


def test_http_10_may_ask_for_keep_alive(server: Server) -> None:
    with server.connect() as connection:
        for _ in range(2):
            connection.send(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
            response = connection.response()
            assert (response.header("Connection") or "").lower() == "keep-alive"


def test_a_stream_to_an_http_10_client_ends_with_the_connection(server: Server) -> None:
    with server.connect() as connection:
        connection.send(b"GET /generated?size=131072 HTTP/1.0\r\nHost: a\r\n\r\n")
        response = connection.response()
        assert response.header("Transfer-Encoding") is None
        assert response.body == b"y" * 131072


def test_connection_close_is_honoured(server: Server) -> None:
    with server.connect() as connection:
        response = connection.get("/", "Connection: close")
        assert response.header("Connection") == "close"
        assert connection.is_closed_by_peer()


def test_expect_100_continue_is_answered_before_the_body_is_sent(server: Server) -> None:
    with server.connect() as connection:
        connection.send(
            b"POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.until(CRLF2) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(b"body")
        assert connection.response().json()["size"] == 4


def test_a_body_that_is_too_large_is_refused_without_100_continue(server: Server) -> None:
    with server.connect() as connection:
        length = 4 * 1024 * MIB
        connection.send(
            f"POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n"
            "Expect: 100-continue\r\n\r\n".encode()
        )
        assert connection.head().status == 413


def test_a_chunked_body_reaches_django_with_its_length(server: Server) -> None:
    body = chunked(b"one", b"two and", b" three")
    seen = echo(server, request("POST", "/echo", "Transfer-Encoding: chunked") + body)
    assert seen["length"] == 16
    assert seen["sha256"] == hashlib.sha256(b"onetwo and three").hexdigest()
    assert seen["meta"]["CONTENT_LENGTH"] == "16"
    assert "HTTP_TRANSFER_ENCODING" not in seen["meta"]


def test_a_chunked_form_is_parsed_by_django(server: Server) -> None:
    form = (
        b'--mark\r\nContent-Disposition: form-data; name="field"\r\n\r\nvalue\r\n--mark\r\n'
        b'Content-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
        + b"z" * 100_000
        + b"\r\n--mark--\r\n"
    )
    with server.connect() as connection:
        connection.send(
            request(
                "POST",
                "/upload",
                "Content-Type: multipart/form-data; boundary=mark",
                "Transfer-Encoding: chunked",
            )
            + chunked(form[:50_000], form[50_000:])
        )
        seen = connection.response().json()
        assert (seen["name"], seen["size"], seen["field"]) == ("a.bin", 100_000, "value")


def test_the_first_chunk_of_a_stream_is_sent_before_the_second_is_made(server: Server) -> None:
    server.remove("first-was-seen")
    with server.connect() as connection:
        connection.send(request("GET", "/stream"))
        response = connection.head()
        assert response.header("Transfer-Encoding") == "chunked"
        assert connection.chunk() == b"first"
        server.put("first-was-seen")
        assert connection.chunk() == b"second"
        assert connection.chunk() == b""


def test_a_client_that_does_not_read_stops_the_generator_and_is_noticed_when_it_leaves(
    server: Server,
) -> None:
    server.remove("pieces")
    before = len(server.lines("endless-closed"))
    with server.connect() as connection:
        connection.send(request("GET", "/endless"))
        connection.head()
        made = wait_until(lambda: settled(server), 15, "the generator to pause")
        assert made * 64 * 1024 < 64 * MIB
    server.wait_for_lines("endless-closed", before + 1, deadline=40)


def settled(server: Server) -> int:
    """How many pieces were made, once that has stayed the same for a while."""
    path = server.signals / "pieces"
    first = path.read_text() if path.exists() else ""
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        if not path.exists() or path.read_text() != first:
            return 0
        time.sleep(0.02)
    return int(first or 0)


def test_an_exception_inside_a_stream_cuts_the_connection(server: Server) -> None:
    with server.connect() as connection:
        connection.send(request("GET", "/breaks"))
        assert connection.head().status == 200
        assert connection.chunk() == b"first"
        with pytest.raises(Closed):
            connection.chunk()


def test_absolute_form_is_accepted_and_names_the_host(server: Server) -> None:
    raw = b"GET http://shop.example:81/echo?a=1 HTTP/1.1\r\nHost: other\r\n\r\n"
    seen = echo(server, raw)
    assert seen["path"] == "/echo"
    assert seen["meta"]["QUERY_STRING"] == "a=1"
    assert seen["meta"]["HTTP_HOST"] == "shop.example:81"


@pytest.mark.parametrize(
    "target",
    [b"/named/gr%C3%BC%C3%9Fe", "/named/grüße".encode()],
    ids=["percent-encoded", "raw UTF-8"],
)
def test_paths_reach_django_decoded_once(server: Server, target: bytes) -> None:
    with server.connect() as connection:
        connection.send(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.response().text == "grüße"


def test_an_encoded_slash_and_percent_sign_are_decoded_once(server: Server) -> None:
    assert server.get("/named/a%2Fb%2525").text == "a/b%25"


def test_every_response_says_date_and_server(server: Server) -> None:
    response = server.get("/")
    date = email.utils.parsedate_to_datetime(response.header("Date") or "")
    assert abs(date.timestamp() - time.time()) < 5
    assert "hurricane" in (response.header("Server") or "").lower()


def test_a_host_with_port_and_an_ipv6_host_are_understood(server: Server) -> None:
    for host, name, port in [
        ("shop.example:81", "shop.example", "81"),
        ("[::1]:8000", "[::1]", "8000"),
    ]:
        raw = f"GET /echo HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        meta = echo(server, raw)["meta"]
        assert meta["HTTP_HOST"] == host
        assert meta["SERVER_NAME"].strip("[]") in (name.strip("[]"), "127.0.0.1", "localhost")
        assert meta["SERVER_PORT"] in (port, str(server.port))


def test_the_peer_is_remote_addr(server: Server) -> None:
    meta = echo(server, request("GET", "/echo", "X-Forwarded-For: 10.1.1.1"))["meta"]
    assert meta["REMOTE_ADDR"] == "127.0.0.1"
    assert meta["HTTP_X_FORWARDED_FOR"] == "10.1.1.1"


def test_headers_with_an_underscore_are_dropped(server: Server) -> None:
    raw = request("GET", "/echo", "X-Forwarded-For: real", "X_Forwarded_For: spoofed", "A_B: 1")
    meta = echo(server, raw)["meta"]
    assert meta["HTTP_X_FORWARDED_FOR"] == "real"
    assert "HTTP_A_B" not in meta


def test_repeated_headers_are_joined_by_commas_and_cookies_by_semicolons(server: Server) -> None:
    raw = request("GET", "/echo", "Accept: a", "Accept: b", "Cookie: one=1", "Cookie: two=2")
    meta = echo(server, raw)["meta"]
    assert re.sub(r"\s", "", meta["HTTP_ACCEPT"]) == "a,b"
    assert meta["HTTP_COOKIE"] == "one=1; two=2"


def test_cookies_come_and_go_one_by_one(server: Server) -> None:
    response = server.get("/cookies", "Cookie: one=1", "Cookie: two=2")
    assert response.json() == {"one": "1", "two": "2"}
    assert [cookie.partition(";")[0] for cookie in response.all("Set-Cookie")] == [
        "first=1",
        "second=2",
    ]


def test_an_empty_header_stays_and_space_around_a_value_goes(server: Server) -> None:
    meta = echo(server, request("GET", "/echo", "X-Empty:", "X-Spaced:  \t a b \t"))["meta"]
    assert (meta["HTTP_X_EMPTY"], meta["HTTP_X_SPACED"]) == ("", "a b")


@pytest.mark.parametrize("method", ["PROPFIND", "FOO", "PATCH", "OPTIONS"])
def test_every_method_reaches_django(server: Server, method: str) -> None:
    assert echo(server, request(method, "/echo"))["method"] == method


def test_204_has_neither_body_nor_length(server: Server) -> None:
    with server.connect() as connection:
        response = connection.get("/empty")
        assert response.status == 204
        assert response.header("Content-Length") is None
        assert response.header("Transfer-Encoding") is None
        assert connection.get("/").body == b"hello"


@pytest.mark.parametrize("path", ["/raise", "/exit"])
def test_a_view_that_raises_or_exits_is_a_500_and_the_server_lives(
    server: Server, path: str
) -> None:
    workers = server.workers()
    with server.connect() as connection:
        assert connection.get(path).status == 500
    assert server.get("/").status == 200
    assert server.workers() == workers


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
        (request("POST", "/", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431),
    ],
    ids=["no host", "two hosts", "two lengths", "smuggling", "space", "no version", "large head"],
)
def test_what_is_not_http_is_refused_and_the_connection_closed(
    server: Server, raw: bytes, status: int
) -> None:
    with server.connect() as connection:
        connection.send(raw)
        response = connection.response()
        assert response.status == status
        assert response.header("Connection") == "close"
        assert connection.is_closed_by_peer()


def test_the_view_its_body_and_the_end_of_its_request_share_a_thread(server: Server) -> None:
    before = len(server.lines("finished"))
    assert server.get("/threads").text == "True"
    line = server.wait_for_lines("finished", before + 1)[-1]
    # The second word: CONN_MAX_AGE=0 has closed the connection on the thread that opened it.
    assert line == "True False"


def test_sixteen_clients_are_served_at_the_same_time(server: Server) -> None:
    def work(client: int) -> list[str]:
        with server.connect() as connection:
            return [connection.get(f"/named/{client}-{n}").text for n in range(50)]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(work, range(16)))
    assert answers == [[f"{client}-{n}" for n in range(50)] for client in range(16)]


def test_a_client_that_resets_its_connection_harms_nobody(server: Server) -> None:
    for _ in range(20):
        connection = server.connect()
        connection.send(request("GET", "/generated?size=1048576"))
        connection.reset()
    assert server.get("/").body == b"hello"


def test_a_large_answer_survives_a_slow_reader(server: Server) -> None:
    with server.connect() as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        connection.send(request("GET", f"/generated?size={8 * MIB}"))
        connection.head()
        # The sockets' buffers are full and the server waits for us.
        wait_until(lambda: server.status()["totals"]["running"] == 1, 10)
        received = b""
        while chunk := connection.chunk():
            received += chunk
        assert received == b"y" * (8 * MIB)


def test_a_file_is_sent_from_where_it_stands(server: Server) -> None:
    content = bytes(range(256)) * 4096
    (server.signals / "file-1").write_bytes(content)
    response = server.get("/file?size=1&at=1000")
    assert response.body == content[1000:]
    with server.connect() as connection:
        connection.send(request("HEAD", "/file?size=1"))
        head = connection.response("HEAD")
        assert head.header("Content-Length") == str(len(content))


SIZE = 1024 * MIB


def test_a_gibibyte_of_upload_does_not_grow_the_server(server: Server) -> None:
    before = server.forget_peak()
    with Connection(server.port, timeout=120) as connection:
        connection.send(request("POST", "/sink", f"Content-Length: {SIZE}"))
        piece = b"\0" * MIB
        for _ in range(SIZE // MIB):
            connection.send(piece)
        assert connection.response().json() == {"size": SIZE, "declared": str(SIZE)}
    assert server.peak_bytes() - before < 64 * MIB


@pytest.mark.parametrize("source", ["file", "generated"])
def test_a_gibibyte_of_download_does_not_grow_the_server(server: Server, source: str) -> None:
    with (server.signals / f"file-{SIZE}").open("wb") as made:
        made.truncate(SIZE)
    before = server.forget_peak()
    with Connection(server.port, timeout=120) as connection:
        connection.send(request("GET", f"/{source}?size={SIZE}"))
        head = connection.head()
        if source == "file":
            assert head.header("Content-Length") == str(SIZE)
            connection.drop(SIZE)
        else:
            received = 0
            while chunk := connection.chunk():
                received += len(chunk)
            assert received == SIZE
    assert server.peak_bytes() - before < 64 * MIB
