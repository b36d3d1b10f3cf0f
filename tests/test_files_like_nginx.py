"""The same requests to Hurricane and to nginx: the same answers, or a difference that is said here.

nginx is the Debian package (``nginx-light`` has all that is used).
"""

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from conftest import Starter
from nginx import Nginx
from serving import Server
from wire import Connection, Response, request

CSS = b"body { color: #123456 }\n" * 100
DATE = 1_600_000_000
MODIFIED = "Sun, 13 Sep 2020 12:26:40 GMT"
EARLIER = "Sun, 13 Sep 2020 12:26:39 GMT"
LATER = "Sun, 13 Sep 2020 12:26:41 GMT"
# What tells something about the file; entity tags are compared by what they do. nginx leaves
# Accept-Ranges out of parts and of compressed files, although it takes ranges there.
FIELDS = (
    "Content-Type",
    "Content-Length",
    "Content-Range",
    "Content-Encoding",
    "Last-Modified",
    "Vary",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("served")
    (root / "d").mkdir()
    contents = {
        "app.css": CSS,
        "app.css.gz": b"compressed",
        "one.txt": b"one",
        "empty.txt": b"",
        "d/inner.js": b"inner",
        "photo.jpg": b"jpeg" * 50_000,
        "unknown.nothing-known": b"?",
        "a b.txt": b"spaced",
    }
    for name, content in contents.items():
        (root / name).write_bytes(content)
        os.utime(root / name, (DATE, DATE))
    (root / "out").symlink_to("/etc/passwd")
    os.mkfifo(root / "fifo")
    return root


@pytest.fixture(scope="module")
def nginx(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Nginx]:
    running = Nginx(tmp_path_factory.mktemp("nginx"), root)
    yield running
    running.end()


@pytest.fixture(scope="module")
def ours(engine: str, root: Path) -> Generator[Server]:
    starter = Starter(engine)
    try:
        yield starter("--static-path", f"/static={root}", application="wsgi_apps:dispatch")
    finally:
        starter.end()


def ask(port: int, method: str, target: str, *fields: str) -> Response:
    with Connection(port) as connection:
        connection.send(request(method, target, "Connection: close", *fields))
        return connection.response(method)


def told(response: Response) -> dict[str, str | None]:
    return {name: response.header(name) for name in FIELDS}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("target", "fields"),
    [
        ("/static/app.css", []),
        ("/static/one.txt", []),
        ("/static/empty.txt", []),
        ("/static/d/inner.js", []),
        ("/static/photo.jpg", []),
        ("/static/unknown.nothing-known", []),
        ("/static/a%20b.txt", []),
        ("/static/%6fne.txt", []),
        ("/static/d%2Finner.js", []),
        ("/static//d//inner.js", []),
        ("/static/one.txt?query=1", []),
        ("/static/app.css", ["Accept-Encoding: gzip"]),
        ("/static/app.css", ["Accept-Encoding: gzip;q=0"]),
        ("/static/app.css", ["Accept-Encoding: br, gzip;q=0.5"]),
        ("/static/one.txt", ["Accept-Encoding: gzip"]),
        ("/static/one.txt", [f"If-Modified-Since: {MODIFIED}"]),
        ("/static/one.txt", [f"If-Modified-Since: {EARLIER}"]),
        ("/static/one.txt", ["If-Modified-Since: yesterday"]),
        ("/static/one.txt", [f"If-Unmodified-Since: {MODIFIED}"]),
        ("/static/one.txt", [f"If-Unmodified-Since: {LATER}"]),
        ("/static/one.txt", ['If-None-Match: "x"', f"If-Modified-Since: {MODIFIED}"]),
        ("/static/one.txt", ["If-None-Match: *"]),
        ("/static/one.txt", ["If-Match: *"]),
    ],
)
def test_the_same_is_told_of_the_same_file(
    ours: Server, nginx: Nginx, method: str, target: str, fields: list[str]
) -> None:
    mine, its = (ask(port, method, target, *fields) for port in (ours.port, nginx.port))
    assert (mine.status, mine.body) == (its.status, its.body)
    assert told(mine) == told(its)


@pytest.mark.parametrize(
    "value",
    [
        "0-0",
        "0-",
        "5-9",
        "100-",
        "-1",
        "-100000",
        "0-99999999",
        "2399-",
        "2400-",
        "2400-2500",
        "-0",
    ],
)
def test_ranges_are_the_same_bytes(ours: Server, nginx: Nginx, value: str) -> None:
    asked = ("GET", "/static/app.css", f"Range: bytes={value}")
    mine, its = (ask(port, *asked) for port in (ours.port, nginx.port))
    assert mine.status == its.status
    if mine.status != 416:
        assert (mine.body, told(mine)) == (its.body, told(its))
    assert mine.header("Content-Range") == its.header("Content-Range")


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        ("/static/none", []),
        ("/static/d/none/deeper", []),
        ("/static/one.txt/", []),
        ("/static/one.txt/more", []),
        ("/static/d/", []),
        ("/static/", []),
        ("/static/none/", []),
        ("/static/out", []),
        ("/static/fifo", []),
        ("/static/" + "x" * 300, []),
        ("/static/%00", []),
        ("/static/%", []),
        ("/static/%zz", []),
        ("/static/one.txt", ['If-Match: "x"']),
        ("/static/one.txt", [f"If-Unmodified-Since: {EARLIER}"]),
    ],
)
def test_the_same_is_refused(ours: Server, nginx: Nginx, target: str, fields: list[str]) -> None:
    mine, its = (ask(port, "GET", target, *fields) for port in (ours.port, nginx.port))
    assert mine.status == its.status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_not_allowed(ours: Server, nginx: Nginx, method: str) -> None:
    for port in (ours.port, nginx.port):
        assert ask(port, method, "/static/one.txt").status == 405


def test_entity_tags_do_the_same(ours: Server, nginx: Nginx) -> None:
    for port in (ours.port, nginx.port):
        etag = ask(port, "GET", "/static/app.css").header("ETag")
        for field, status in (
            (f"If-None-Match: {etag}", 304),
            (f'If-None-Match: "a", W/{etag}', 304),
            (f"If-Match: {etag}", 200),
            (f'If-Match: "a", {etag}', 200),
        ):
            assert ask(port, "GET", "/static/app.css", field).status == status, field
        ranged = ("Range: bytes=0-1", f"If-Range: {etag}")
        assert ask(port, "GET", "/static/app.css", *ranged).status == 206
        ranged = ("Range: bytes=0-1", 'If-Range: "a"')
        assert ask(port, "GET", "/static/app.css", *ranged).status == 200


@pytest.mark.parametrize(
    ("method", "target", "fields", "mine", "its"),
    [
        # nginx compares for equality, as a browser sends what it got.
        ("GET", "/static/one.txt", [f"If-Modified-Since: {LATER}"], 304, 200),
        # A malformed Range may be ignored or refused.
        ("GET", "/static/one.txt", ["Range: bytes=x-1"], 200, 416),
        ("GET", "/static/one.txt", ["Range: bytes=2-1"], 200, 416),
        # Several ranges: the whole, where nginx sends a multipart body.
        ("GET", "/static/app.css", ["Range: bytes=0-1,5-6"], 200, 206),
        # Ranges are defined for GET only.
        ("HEAD", "/static/app.css", ["Range: bytes=0-1"], 200, 206),
        # No index: no redirect to where there would be none.
        ("GET", "/static/d", [], 403, 301),
        # nginx resolves dots before it looks for a place; what leaves a mount is refused here.
        ("GET", "/static/d/../one.txt", [], 403, 200),
        ("GET", "/static/%2e/one.txt", [], 403, 200),
        ("GET", "/static/../x", [], 403, 404),
        ("GET", "/static/d/../../../x", [], 403, 400),
    ],
)
def test_what_differs_is_known(
    ours: Server,
    nginx: Nginx,
    method: str,
    target: str,
    fields: list[str],
    mine: int,
    its: int,
) -> None:
    statuses = [ask(port, method, target, *fields).status for port in (ours.port, nginx.port)]
    assert statuses == [mine, its]
