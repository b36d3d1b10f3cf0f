"""What proxies in front of the server say of clients: who is believed, and what comes of it."""

import socket
import struct
from collections.abc import Generator

import pytest

from condition import wait_until
from conftest import Starter
from serving import TESTS, Server
from wire import Connection, request

MIRROR = TESTS / "mirror"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
DJANGO_FIELDS = (
    "X-Forwarded-For: 203.0.113.9, 192.0.2.1, 127.0.0.2",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: shop.example.org",
    "Forwarded: for=198.51.100.1;proto=http",
)


def binary(command: int, family: int, rest: bytes) -> bytes:
    """A PROXY header of version 2."""
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


V1 = b"PROXY TCP4 192.0.2.1 198.51.100.1 4660 8443\r\n"
V2 = binary(
    0x21,
    0x11,
    socket.inet_aton("192.0.2.1")
    + socket.inet_aton("198.51.100.1")
    + struct.pack("!HH", 4660, 8443)
    + b"\x04\x00\x20"
    + b"extension" * 4,
)


@pytest.fixture(scope="module")
def behind(engine: str) -> Generator[Server]:
    """A server that believes what its own host says, and writes its access log itself."""
    starter = Starter(engine)
    flags = ("--forwarded-allow-ips", "127.0.0.0/8,unix", "--access-log", "native")
    try:
        yield starter(*flags, application="wsgi_apps:environ_as_json")
    finally:
        starter.end()


@pytest.fixture(scope="module")
def balanced(engine: str) -> Generator[Server]:
    """A server behind a load balancer that speaks the PROXY protocol."""
    starter = Starter(engine)
    flags = ["--proxy-protocol", "--head-timeout", "1s", "--access-log", "native"]
    flags += ["--forwarded-allow-ips", "198.51.100.7"]
    try:
        yield starter(*flags, application="wsgi_apps:environ_as_json")
    finally:
        starter.end()


def environ(server: Server, *fields: str) -> dict[str, str]:
    """What a callable gets."""
    found: dict[str, str] = server.get("/where", *fields).json()
    return found


def through(server: Server, *pieces: bytes) -> Connection:
    """A connection that begins with these bytes, each sent by itself."""
    connection = server.connect()
    for piece in pieces:
        connection.send(piece)
    return connection


def test_a_trusted_proxy_tells_address_scheme_and_host(behind: Server) -> None:
    found = environ(
        behind,
        "X-Forwarded-For: 203.0.113.9, 192.0.2.1, 127.0.0.2",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: shop.example.org",
        "Forwarded: for=198.51.100.1",
        "X_Forwarded_For: 198.51.100.1",
    )
    assert found["REMOTE_ADDR"] == "192.0.2.1"
    assert "REMOTE_PORT" not in found
    assert found["wsgi.url_scheme"] == "https"
    assert (found["HTTP_HOST"], found["SERVER_NAME"]) == ("shop.example.org", "shop.example.org")
    assert found["SERVER_PORT"] == "443"
    assert found["HTTP_X_FORWARDED_FOR"] == "203.0.113.9, 192.0.2.1, 127.0.0.2"
    assert "HTTP_FORWARDED" not in found
    wait_until(lambda: behind.lines_with("200 GET /where (192.0.2.1)"), 10, "its line")


def test_a_proxy_that_says_nothing_is_the_client(behind: Server) -> None:
    with behind.connect() as connection:
        told = connection.get("/", "X-Forwarded-For: 192.0.2.1:4711").json()
        untold = connection.get("/").json()
    assert (told["REMOTE_ADDR"], told["REMOTE_PORT"]) == ("192.0.2.1", "4711")
    assert (untold["REMOTE_ADDR"], untold["wsgi.url_scheme"]) == ("127.0.0.1", "http")
    assert int(untold["REMOTE_PORT"]) > 0
    assert untold["SERVER_PORT"] == str(behind.port)


def test_whoever_is_not_trusted_is_not_believed(start: Starter) -> None:
    server = start("--forwarded-allow-ips", "10.0.0.0/8", application="wsgi_apps:environ_as_json")
    found = environ(server, *DJANGO_FIELDS, "X-Real-IP: 1.1.1.1", "X-Other: kept")
    assert (found["REMOTE_ADDR"], found["wsgi.url_scheme"]) == ("127.0.0.1", "http")
    assert found["HTTP_HOST"] == "localhost"
    assert [name for name in found if "FORWARDED" in name or "REAL" in name] == []
    assert found["HTTP_X_OTHER"] == "kept"


def test_without_the_flag_the_application_judges(wsgi: Server) -> None:
    found = wsgi.get("/environ_as_json", *DJANGO_FIELDS).json()
    assert (found["REMOTE_ADDR"], found["wsgi.url_scheme"]) == ("127.0.0.1", "http")
    assert found["HTTP_X_FORWARDED_FOR"] == "203.0.113.9, 192.0.2.1, 127.0.0.2"
    assert found["HTTP_FORWARDED"] == "for=198.51.100.1;proto=http"


@pytest.mark.parametrize("interface", ["wsgi", "django"])
def test_django_sees_the_client(start_once: Starter, interface: str) -> None:
    flags = ("--forwarded-allow-ips", "127.0.0.1,127.0.0.2", "--interface", interface)
    server = start_once(*flags, "--command", "migrate --verbosity 0", project=MIRROR)
    told = server.get("/seen", *DJANGO_FIELDS).json()
    assert told["host"][0] == "shop.example.org"
    assert told["scheme"] == ["https", True]
    assert told["absolute"][0] == "https://shop.example.org/seen"
    assert dict(told["META"])["REMOTE_ADDR"] == "192.0.2.1"


def test_forwarded_is_read_when_it_is_named(start: Starter) -> None:
    flags = ("--forwarded-allow-ips", "*", "--forwarded-headers", "forwarded")
    server = start(*flags, application="wsgi_apps:environ_as_json")
    value = 'for="[2001:db8::1]:4711";proto=https;host="shop.example.org:8443"'
    found = environ(server, f"Forwarded: {value}", "X-Forwarded-For: 192.0.2.1")
    assert (found["REMOTE_ADDR"], found["REMOTE_PORT"]) == ("2001:db8::1", "4711")
    assert (found["wsgi.url_scheme"], found["HTTP_HOST"]) == ("https", "shop.example.org:8443")
    assert found["SERVER_PORT"] == "8443"
    assert "HTTP_X_FORWARDED_FOR" not in found
    refused = server.get("/", 'Forwarded: for="192.0.2.9', "Forwarded: for=192.0.2.1")
    assert (refused.status, refused.body) == (400, b"forwarded is malformed\n")


@pytest.mark.parametrize("header", [V1, V2], ids=["1", "2"])
def test_a_proxy_header_tells_whose_connection_it_is(balanced: Server, header: bytes) -> None:
    in_pieces = [header[:3], header[3:17], header[17:] + request("GET", "/one")]
    in_bytes = [bytes([byte]) for byte in header]
    for pieces in [header + request("GET", "/one")], in_pieces, [*in_bytes, request("GET", "/one")]:
        with through(balanced, *pieces) as connection:
            first = connection.response().json()
            # Of the connection, not of the request.
            second = connection.get("/two", "X-Forwarded-For: 1.1.1.1").json()
        for found in first, second:
            assert (found["REMOTE_ADDR"], found["REMOTE_PORT"]) == ("192.0.2.1", "4660")
            assert found["SERVER_PORT"] == "8443"
        assert "HTTP_X_FORWARDED_FOR" not in second
    wait_until(lambda: balanced.lines_with("200 GET /two (192.0.2.1)"), 10, "its line")


def test_behind_a_load_balancer_a_proxy_may_be_trusted_too(balanced: Server) -> None:
    header = V1.replace(b"192.0.2.1", b"198.51.100.7")
    with through(balanced, header) as connection:
        found = connection.get("/", "X-Forwarded-For: 203.0.113.9").json()
    assert found["REMOTE_ADDR"] == "203.0.113.9"


@pytest.mark.parametrize(
    "header",
    [b"PROXY UNKNOWN\r\n", binary(0x20, 0, b""), binary(0x21, 0x12, b"datagrams")],
    ids=["unknown", "local", "datagram"],
)
def test_a_load_balancers_own_connection_is_its_own(balanced: Server, header: bytes) -> None:
    with through(balanced, header) as connection:
        found = connection.get("/").json()
    assert (found["REMOTE_ADDR"], found["SERVER_PORT"]) == ("127.0.0.1", str(balanced.port))


def test_a_client_of_a_balancers_unix_domain_socket_has_no_address(balanced: Server) -> None:
    with through(balanced, binary(0x21, 0x31, bytes(216))) as connection:
        found = connection.get("/").json()
    assert found["REMOTE_ADDR"] == ""
    assert "REMOTE_PORT" not in found


@pytest.mark.parametrize(
    ("sent", "status", "cause"),
    [
        (request("GET", "/"), 400, b"does not begin with a PROXY header"),
        (b"\x16\x03\x01\x02\x00", 400, b"does not begin with a PROXY header"),
        (V1.replace(b"4660", b"x"), 400, b"PROXY header is malformed"),
        (binary(0x21, 0x11, b"short"), 400, b"PROXY header is malformed"),
        (binary(0x20, 0, bytes(5000))[:100], 400, b"PROXY header exceeds 4096 bytes"),
        (b"PROXY UNKNOWN " + b"x" * 100, 400, b"PROXY header exceeds 107 bytes"),
        (V2[:20], 408, b"took too long"),
    ],
    ids=["http", "tls", "line", "binary", "long", "long-line", "unfinished"],
)
def test_what_is_no_proxy_header_is_refused(
    balanced: Server, sent: bytes, status: int, cause: bytes
) -> None:
    with through(balanced, sent) as connection:
        response = connection.response()
        assert response.status == status
        assert cause in response.body
        assert connection.is_closed_by_peer()


def test_a_connection_without_a_byte_ends_without_an_answer(balanced: Server) -> None:
    with balanced.connect() as connection:
        assert connection.is_closed_by_peer()
    with balanced.connect() as connection:
        connection.send(V1)
        assert connection.is_closed_by_peer()
    with balanced.connect() as connection:
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.is_closed_by_peer()
    assert balanced.probe("/ready").response.status == 200


def test_over_a_unix_domain_socket_a_proxy_is_believed_by_name(
    start: Starter, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("sockets") / "web.sock"
    flags = ("--uds", str(path), "--forwarded-allow-ips", "unix", "--proxy-protocol")
    start(*flags, application="wsgi_apps:environ_as_json")
    with Connection(path) as connection:
        connection.send(b"PROXY UNKNOWN\r\n")
        found = connection.get("/", "X-Forwarded-For: 192.0.2.1").json()
        assert found["REMOTE_ADDR"] == "192.0.2.1"
        untold = connection.get("/").json()
        assert untold["REMOTE_ADDR"] == ""
        assert "REMOTE_PORT" not in untold
        assert None not in untold.values()


def test_a_stop_waits_for_no_proxy_header(start: Starter) -> None:
    flags = ("--proxy-protocol", "--head-timeout", "1s")
    server = start(*flags, application="wsgi_apps:hello")
    for begun in b"", V1[:10]:
        through(server, begun)
    with through(server, V1) as whole:
        assert whole.get("/").body == b"hello"
    server.terminate()
    assert server.wait() == 0
