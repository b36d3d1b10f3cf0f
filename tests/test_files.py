"""Static files and uploads, which the loop serves without asking Python."""

import gzip
import os
import socket
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote

import pytest

from condition import wait_until
from conftest import Starter
from serving import Server, as_settings, free_port, run
from wire import Closed, Connection, Response, request

CSS = b"body { color: #123456 }\n" * 100
LARGE = bytes(range(256)) * 4096 * 3
HASHED = "app.0123456789ab.css"


@dataclass
class Tree:
    """What is on the disk."""

    root: Path

    @property
    def static(self) -> Path:
        return self.root / "static"

    @property
    def media(self) -> Path:
        return self.root / "media"

    @property
    def extra(self) -> Path:
        return self.root / "extra"

    def settings(self, **more: object) -> dict[str, str]:
        """The environment that makes the project serve it."""
        return as_settings(
            STATIC_URL="/static/",
            STATIC_ROOT=str(self.static),
            MEDIA_URL="/media/",
            MEDIA_ROOT=str(self.media),
            **more,
        )


def grow(root: Path) -> Tree:
    tree = Tree(root)
    for directory in (tree.static / "d", tree.media, tree.extra / "sub"):
        directory.mkdir(parents=True)
    (tree.root / "secret.txt").write_text("secret")
    static = tree.static
    (static / "app.css").write_bytes(CSS)
    (static / HASHED).write_bytes(CSS)
    (static / "empty.txt").write_bytes(b"")
    (static / "a b\u00e4%.txt").write_text("named")
    (static / "d" / "inner.js").write_text("inner")
    (static / "large.bin").write_bytes(LARGE)
    (static / "data").write_bytes(b"\0")
    for suffix in ("zst", "br", "gz"):
        (static / f"app.css.{suffix}").write_bytes(suffix.encode() * 10)
    (static / "one.js").write_bytes(b"x" * 500)
    (static / "one.js.gz").write_bytes(gzip.compress(b"x" * 500, mtime=0))
    (static / "stale.js").write_bytes(b"new" * 100)
    (static / "stale.js.gz").write_bytes(b"old")
    os.utime(static / "stale.js.gz", (1e9, 1e9))
    (static / "unread.txt").write_text("unread")
    (static / "unread.txt").chmod(0)
    (static / "inside").symlink_to("d/inner.js")
    (static / "outside").symlink_to("../secret.txt")
    (static / "absolute").symlink_to(tree.root / "secret.txt")
    (static / "up").symlink_to("..")
    (static / "circle").symlink_to("circle")
    os.mkfifo(static / "fifo")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(static / "socket"))
    listening.close()
    (tree.media / "photo.jpg").write_bytes(b"jpeg")
    (tree.media / HASHED).write_bytes(CSS)
    (tree.media / "note.txt").write_bytes(b"note" * 100)
    (tree.media / "note.txt.gz").write_bytes(b"planted")
    (tree.extra / "index.html").write_text("front")
    (tree.extra / "sub" / "index.html").write_text("sub")
    (tree.extra / "none").mkdir()
    return tree


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return grow(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def files(engine: str, tree: Tree) -> Generator[Server]:
    """The project with all its files, on each engine."""
    starter = Starter(engine)
    try:
        flags = ("--static", "--media", "--static-path", f"/extra={tree.extra}")
        yield starter(*flags, env=tree.settings())
    finally:
        starter.end()


def ask(server: Server, target: str, *fields: str, method: str = "GET") -> Response:
    with Connection(server.port) as connection:
        connection.send(request(method, target, "Connection: close", *fields))
        response = connection.response(method)
        assert connection.is_closed_by_peer()
        return response


def test_a_file_comes_with_all_that_a_browser_wants_to_know(files: Server, tree: Tree) -> None:
    response = ask(files, "/static/app.css")
    assert (response.status, response.body) == (200, CSS)
    modified = (tree.static / "app.css").stat().st_mtime
    expected = {
        "Content-Type": "text/css; charset=utf-8",
        "Content-Length": str(len(CSS)),
        "Last-Modified": formatdate(int(modified), usegmt=True),
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "max-age=60",
        "Vary": "Accept-Encoding",
        "Server": "hurricane",
        "Connection": "close",
    }
    assert {name: response.header(name) for name in expected} == expected
    etag = response.header("ETag")
    assert etag is not None
    assert etag.startswith('"')
    assert response.header("Date") is not None
    assert response.header("Content-Encoding") is None


@pytest.mark.parametrize(
    ("path", "status", "media_type", "body"),
    [
        ("/static/d/inner.js", 200, "text/javascript; charset=utf-8", b"inner"),
        ("/static/a%20b%C3%A4%25.txt", 200, "text/plain; charset=utf-8", b"named"),
        ("/static/%64/inner.js", 200, "text/javascript; charset=utf-8", b"inner"),
        ("/static/d%2Finner.js", 200, "text/javascript; charset=utf-8", b"inner"),
        ("/static//d///inner.js", 200, "text/javascript; charset=utf-8", b"inner"),
        ("/static/inside", 200, "application/octet-stream", b"inner"),
        ("/static/data", 200, "application/octet-stream", b"\0"),
        ("/static/empty.txt", 200, "text/plain; charset=utf-8", b""),
        ("/static/one.js.gz", 200, "application/gzip", gzip.compress(b"x" * 500, mtime=0)),
        ("/media/photo.jpg", 200, "image/jpeg", b"jpeg"),
        ("/extra/index.html", 200, "text/html; charset=utf-8", b"front"),
        ("/static/app.css?anything", 200, "text/css; charset=utf-8", CSS),
    ],
)
def test_names_mean_files(
    files: Server, path: str, status: int, media_type: str, body: bytes
) -> None:
    response = ask(files, path)
    assert (response.status, response.body) == (status, body)
    assert response.header("Content-Type") == media_type


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/static/none.css", 404),
        ("/static/app.css/", 404),
        ("/static/app.css/x", 404),
        ("/static/d", 403),
        ("/static/d/", 403),
        ("/static/", 403),
        ("/static/none/", 404),
        ("/extra/", 403),
        ("/extra/sub", 403),
        ("/media/", 403),
        ("/static/../secret.txt", 403),
        ("/static/d/../../secret.txt", 403),
        ("/static/%2e%2e/secret.txt", 403),
        ("/static/..%2fsecret.txt", 403),
        ("/static/%2e%2e%2f%2e%2e%2fetc/passwd", 403),
        ("/static/./app.css", 403),
        ("/static//etc/passwd", 404),
        ("/static/%2fetc/passwd", 404),
        ("/static/..%5csecret.txt", 404),
        ("/static/%c0%ae%c0%ae/secret.txt", 404),
        ("/static/%252e%252e/secret.txt", 404),
        ("/static/app.css%00", 400),
        ("/static/%", 400),
        ("/static/%zz", 400),
        ("/static/outside", 403),
        ("/static/absolute", 403),
        ("/static/up/secret.txt", 403),
        ("/static/circle", 404),
        ("/static/fifo", 404),
        ("/static/socket", 404),
        ("/static/" + "x" * 300, 404),
        ("/static/" + "x/" * 3000 + "y", 404),
        ("/static/" + "%41" * 5000, 404),
    ],
)
def test_nothing_else_is_given_away(files: Server, path: str, status: int) -> None:
    response = ask(files, path)
    assert response.status == status
    assert b"secret" not in response.body
    assert str(files.signals).encode() not in response.body


def test_a_file_that_may_not_be_read_is_forbidden(start: Starter, tree: Tree) -> None:
    # Root may read everything, unless it has no capability to.
    caps = "--bounding-set=-dac_override,-dac_read_search"
    prefix = ("setpriv", caps) if os.geteuid() == 0 else ()
    flags = ("--static-path", f"/s={tree.static}")
    server = start(*flags, application="wsgi_apps:dispatch", prefix=prefix)
    assert ask(server, "/s/unread.txt").status == 403
    assert ask(server, "/s/app.css").status == 200


def test_an_index_stands_for_its_directory(start: Starter, tree: Tree) -> None:
    flags = ("--static-path", f"/s={tree.extra}", "--static-index", "index.html")
    server = start(*flags, application="wsgi_apps:dispatch")
    for path, status, body in (
        ("/s/", 200, b"front"),
        ("/s/sub/", 200, b"sub"),
        ("/s/none/", 403, b"Forbidden\n"),
        ("/s/nothing/", 404, b"Not Found\n"),
        ("/s/index.html/", 404, b"Not Found\n"),
    ):
        response = ask(server, path)
        assert (response.status, response.body) == (status, body), path
    assert ask(server, "/s/sub/").header("Content-Type") == "text/html; charset=utf-8"
    response = ask(server, "/s/sub?x=1")
    assert (response.status, response.header("Location")) == (301, "/s/sub/?x=1")


def test_what_is_not_below_a_prefix_is_the_applications(files: Server) -> None:
    for path in ("/static", "/staticx/app.css", "/extra", "/"):
        response = ask(files, path)
        assert response.header("Worker-Pid") is not None, path


def test_only_get_and_head_are_allowed(files: Server) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"):
        response = ask(files, "/static/app.css", method=method)
        assert (response.status, response.header("Allow")) == (405, "GET, HEAD")
    with files.connect() as connection:
        connection.send(request("POST", "/static/app.css", body=b"x" * 100_000))
        assert connection.response().status == 405
        assert connection.get("/static/app.css").body == CSS


def test_head_tells_the_same_without_the_body(files: Server) -> None:
    for path in ("/static/app.css", "/static/large.bin", "/static/none"):
        identifier = "X-Request-ID: asked"
        got, told = ask(files, path, identifier), ask(files, path, identifier, method="HEAD")
        assert (told.status, told.body) == (got.status, b"")
        drop = {"Date"}
        assert [h for h in told.headers if h[0] not in drop] == [
            h for h in got.headers if h[0] not in drop
        ]


def test_conditions_save_a_transfer(files: Server) -> None:
    first = ask(files, "/static/app.css")
    etag, modified = first.header("ETag"), first.header("Last-Modified")
    for field in (
        f"If-None-Match: {etag}",
        f'If-None-Match: "x", W/{etag}',
        "If-None-Match: *",
        f"If-Modified-Since: {modified}",
    ):
        again = ask(files, "/static/app.css", field)
        assert (again.status, again.body) == (304, b""), field
        assert (again.header("ETag"), again.header("Content-Length")) == (etag, None)
        assert again.header("Cache-Control") == "max-age=60"
        assert again.header("Vary") == "Accept-Encoding"
    long_ago = "Sun, 06 Nov 1994 08:49:37 GMT"
    for field, status in (
        ('If-None-Match: "x"', 200),
        (f"If-Modified-Since: {long_ago}", 200),
        ('If-Match: "x"', 412),
        (f"If-Match: {etag}", 200),
        (f"If-Unmodified-Since: {long_ago}", 412),
        (f"If-Unmodified-Since: {modified}", 200),
    ):
        assert ask(files, "/static/app.css", field).status == status, field


@pytest.mark.parametrize("name", ["app.css", "large.bin"])
def test_ranges_are_parts_of_the_file(files: Server, tree: Tree, name: str) -> None:
    content = (tree.static / name).read_bytes()
    length = len(content)
    etag = ask(files, f"/static/{name}", method="HEAD").header("ETag")
    for value, first, end in (
        ("0-0", 0, 1),
        ("10-19", 10, 20),
        (f"{length - 5}-", length - 5, length),
        ("-7", length - 7, length),
        ("5-99999999999", 5, length),
    ):
        part = ask(files, f"/static/{name}", f"Range: bytes={value}", f"If-Range: {etag}")
        assert (part.status, part.body) == (206, content[first:end]), value
        assert part.header("Content-Range") == f"bytes {first}-{end - 1}/{length}"
    beyond = ask(files, f"/static/{name}", f"Range: bytes={length}-")
    assert (beyond.status, beyond.header("Content-Range")) == (416, f"bytes */{length}")
    for field in ("Range: bytes=0-1,5-6", "Range: lines=1-2", "Range: bytes=9-1"):
        whole = ask(files, f"/static/{name}", field)
        assert (whole.status, whole.body == content) == (200, True), field
    other = ask(files, f"/static/{name}", "Range: bytes=0-1", 'If-Range: "x"')
    assert (other.status, len(other.body)) == (200, length)


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, br", "br"),
        ("gzip", "gzip"),
        ("br;q=0.1, gzip;q=0.9", "gzip"),
        ("zstd;q=0, *", "br"),
        ("identity", None),
        ("gzip;q=0", None),
        ("deflate", None),
    ],
)
def test_the_best_coding_is_sent(files: Server, accepted: str, coding: str | None) -> None:
    response = ask(files, "/static/app.css", f"Accept-Encoding: {accepted}")
    suffix = {"zstd": b"zst", "br": b"br", "gzip": b"gz"}.get(coding or "")
    assert response.body == (suffix * 10 if suffix else CSS)
    assert response.header("Content-Encoding") == coding
    assert response.header("Content-Type") == "text/css; charset=utf-8"
    assert response.header("Vary") == "Accept-Encoding"
    etag = response.header("ETag")
    again = ask(files, "/static/app.css", f"Accept-Encoding: {accepted}", f"If-None-Match: {etag}")
    assert (again.status, again.header("ETag")) == (304, etag)
    if coding is not None:
        assert ask(files, "/static/app.css", f"If-None-Match: {etag}").status == 200


def test_codings_are_of_this_file_or_not_used(files: Server) -> None:
    one = ask(files, "/static/one.js", "Accept-Encoding: zstd, gzip")
    assert (one.header("Content-Encoding"), gzip.decompress(one.body)) == ("gzip", b"x" * 500)
    stale = ask(files, "/static/stale.js", "Accept-Encoding: gzip")
    assert (stale.header("Content-Encoding"), stale.body) == (None, b"new" * 100)
    upload = ask(files, "/media/note.txt", "Accept-Encoding: gzip")
    assert (upload.header("Content-Encoding"), upload.body) == (None, b"note" * 100)
    assert upload.header("Vary") is None


def test_names_that_change_with_their_content_are_good_for_ever(files: Server) -> None:
    hashed = ask(files, f"/static/{HASHED}").header("Cache-Control")
    assert hashed == "max-age=315360000, public, immutable"
    assert ask(files, f"/media/{HASHED}").header("Cache-Control") == "max-age=60"
    versioned = ask(files, "/static/app.css?v=1")
    assert versioned.header("Cache-Control") == "max-age=315360000"
    assert versioned.header("Expires") is not None
    assert ask(files, "/static/app.css").header("Expires") is None


def test_connections_go_on_after_every_answer(files: Server) -> None:
    with files.connect() as connection:
        for path, status in (
            ("/static/app.css", 200),
            ("/static/none", 404),
            ("/static/large.bin", 200),
            ("/static/%00", 400),
            ("/", 200),
            ("/static/d", 403),
            ("/static/app.css", 200),
        ):
            assert connection.get(path).status == status, path
        many = request("GET", "/static/app.css") + request("GET", "/static/large.bin")
        connection.send(many * 3 + request("GET", "/static/d/inner.js"))
        for _ in range(3):
            assert connection.response().body == CSS
            assert connection.response().body == LARGE
        assert connection.response().body == b"inner"


def test_http_1_0_is_answered_as_it_asks(files: Server) -> None:
    with files.connect() as connection:
        connection.send(b"GET /static/app.css HTTP/1.0\r\n\r\n")
        response = connection.response()
        assert (response.body, response.header("Connection")) == (CSS, "close")
        assert connection.is_closed_by_peer()


def test_a_file_that_changes_is_seen_at_once_or_soon(files: Server, tree: Tree) -> None:
    path = tree.media / "changing.txt"
    path.write_text("first")
    assert ask(files, "/media/changing.txt").text == "first"
    path.write_text("second!")
    wait_until(lambda: ask(files, "/media/changing.txt").text == "second!", 5, "the change")
    path.unlink()
    wait_until(lambda: ask(files, "/media/changing.txt").status == 404, 5, "the end")
    path.write_text("third")
    assert ask(files, "/media/changing.txt").text == "third"


def test_a_root_that_is_replaced_is_seen_soon(start: Starter, tmp_path: Path) -> None:
    for release in ("one", "two"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "v.txt").write_text(release)
    current = tmp_path / "current"
    current.symlink_to("one")
    server = start("--static-path", f"/s={current}", application="wsgi_apps:dispatch")
    assert ask(server, "/s/v.txt").text == "one"
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(current)
    wait_until(lambda: ask(server, "/s/v.txt").text == "two", 5, "the new release")


def test_a_file_that_shrinks_ends_the_connection_and_nothing_else(
    files: Server, tree: Tree
) -> None:
    path = tree.media / "shrinking.bin"
    with path.open("wb") as file:
        file.truncate(200 << 20)
    before = files.workers()
    with files.connect() as connection:
        connection.send(request("GET", "/media/shrinking.bin"))
        assert connection.head().header("Content-Length") == str(200 << 20)
        with path.open("r+b") as file:
            file.truncate(0)
        with pytest.raises(Closed):
            connection.drop(200 << 20)
    assert files.workers() == before
    assert ask(files, "/static/app.css").status == 200
    path.unlink()


def test_a_file_that_is_deleted_while_it_is_sent_arrives(files: Server, tree: Tree) -> None:
    path = tree.media / "deleted.bin"
    path.write_bytes(LARGE)
    with files.connect() as connection:
        connection.send(request("GET", "/media/deleted.bin"))
        connection.until(b"\r\n\r\n")
        path.unlink()
        assert connection.exactly(len(LARGE)) == LARGE
    wait_until(lambda: open_files(files, "deleted.bin") == 0, 30, "the file to be closed")


def open_files(server: Server, name: str) -> int:
    """Descriptors that the workers have of files of that name."""
    found = 0
    for pid in server.workers():
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                found += name in str(link.readlink())
            except OSError:
                continue
    return found


def test_a_reader_that_does_not_read_holds_nobody_up(files: Server, tree: Tree) -> None:
    path = tree.media / "huge.bin"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    waiting = [files.connect() for _ in range(16)]
    for connection in waiting:
        connection.send(request("GET", "/media/huge.bin"))
    for connection in waiting:
        connection.head()
    before = files.forget_peak()
    began = time.monotonic()
    for _ in range(20):
        assert ask(files, "/static/app.css").status == 200
    assert time.monotonic() - began < 5
    waiting[0].drop(256 << 20)
    assert files.peak_bytes() - before < 64 << 20
    for connection in waiting:
        connection.reset()
    path.unlink()


def test_requests_for_files_are_counted(files: Server) -> None:
    def answered() -> int:
        requests: int = files.status()["totals"]["requests"]
        return requests

    before = answered()
    for path in ("/static/app.css", "/static/large.bin", "/static/none"):
        ask(files, path)
    wait_until(lambda: answered() == before + 3, 5, "three more answers")


def test_files_take_no_thread_of_the_application(start: Starter, tree: Tree) -> None:
    server = start("--static", "--threads", "1", env=tree.settings())
    blocked = server.connect()
    blocked.send(request("GET", "/hold/gate"))
    wait_until((server.signals / "gate-entered").exists, 10, "the view")
    assert ask(server, "/static/app.css").body == CSS
    server.put("gate-open")
    assert blocked.response().status == 200


def refusal(*flags: str, **settings: object) -> str:
    """The last line of a start that must fail."""
    words = [sys.executable, "manage.py", "serve", "--port", str(free_port()), *flags]
    done = run(words, env=as_settings(**settings))
    assert done.returncode != 0
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("flags", "settings", "reason"),
    [
        (["--static"], {"STATIC_URL": "/s/"}, "--static needs settings.STATIC_ROOT"),
        (
            ["--static"],
            {"STATIC_URL": "/s/", "STATIC_ROOT": "/nonexistent/x"},
            "settings.STATIC_ROOT is /nonexistent/x, which is no directory; create it",
        ),
        (
            ["--static"],
            {
                "STATIC_URL": "/s/",
                "STATIC_ROOT": "/nonexistent/x",
                "INSTALLED_APPS": ["hurricane", "django.contrib.staticfiles"],
            },
            'run "manage.py collectstatic"',
        ),
        (["--static"], {}, "--static needs settings.STATIC_URL"),
        (["--static"], {"STATIC_URL": "/"}, "would take every URL"),
        (["--media"], {"MEDIA_ROOT": "/tmp"}, "--media needs settings.MEDIA_URL"),
        (["--media"], {"MEDIA_ROOT": "/tmp", "MEDIA_URL": "/"}, "would take every URL"),
        (["--media"], {"MEDIA_URL": "/m/"}, "--media needs settings.MEDIA_ROOT"),
        (
            ["--static-path", "/x=/nonexistent/y"],
            {},
            "expected a directory that exists, which /nonexistent/y does not",
        ),
        (["--static-path", "/=/tmp"], {}, "expected a path below /, such as /static/"),
    ],
)
def test_a_start_without_a_place_for_files_fails(
    flags: list[str], settings: dict[str, object], reason: str
) -> None:
    assert reason in refusal(*flags, **settings)


def test_static_files_may_be_collected_by_the_start_itself(
    start_once: Starter, tmp_path: Path
) -> None:
    (tmp_path / "source" / "d").mkdir(parents=True)
    (tmp_path / "source" / "d" / "a.css").write_text("a { }")
    manifest = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    settings = as_settings(
        INSTALLED_APPS=["hurricane", "stage", "django.contrib.staticfiles"],
        STATIC_URL="static/",
        STATIC_ROOT=str(tmp_path / "root"),
        STATICFILES_DIRS=[str(tmp_path / "source")],
        STORAGES={"staticfiles": {"BACKEND": manifest}},
    )
    server = start_once("--static", "--command", "collectstatic --no-input", env=settings)
    [hashed] = [path.name for path in (tmp_path / "root" / "d").glob("a.*.css")]
    kept = ask(server, f"/static/d/{hashed}")
    assert (kept.status, kept.text) == (200, "a { }")
    assert kept.header("Cache-Control") == "max-age=315360000, public, immutable"
    assert ask(server, "/static/d/a.css").header("Cache-Control") == "max-age=60"


def test_debug_serves_what_the_finders_find(start_once: Starter, tmp_path: Path) -> None:
    for directory in ("one", "two"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "a.css").write_text(directory)
    (tmp_path / "two" / "b.css").write_text("only here")
    settings = as_settings(
        DEBUG=True,
        INSTALLED_APPS=["hurricane", "stage", "django.contrib.staticfiles"],
        STATIC_URL="/static/",
        STATICFILES_DIRS=[str(tmp_path / "one"), ["below", str(tmp_path / "two")]],
    )
    server = start_once("--static", env=settings)
    assert ask(server, "/static/a.css").text == "one"
    assert ask(server, "/static/below/a.css").text == "two"
    assert ask(server, "/static/below/b.css").text == "only here"
    assert ask(server, "/static/b.css").status == 404
    assert ask(server, "/static/stage/own.css").text == "a { color: red }\n"
    assert ask(server, "/static/a.css").header("Cache-Control") == "no-cache"
    (tmp_path / "one" / "a.css").write_text("changed")
    assert ask(server, "/static/a.css").text == "changed"


@pytest.fixture(scope="module")
def handing(engine: str, tree: Tree) -> Generator[Server]:
    """The project with files that only its views hand out."""
    starter = Starter(engine)
    try:
        yield starter("--sendfile-path", f"/internal={tree.static}")
    finally:
        starter.end()


def handed(server: Server, by: str, name: object, *fields: str, more: str = "") -> Response:
    return ask(server, f"/handed?by={by}&name={quote(str(name))}{more}", *fields)


def test_a_view_hands_out_a_file(handing: Server, tree: Tree) -> None:
    for by, name in (
        ("X-Accel-Redirect", "/internal/large.bin"),
        ("X-Sendfile", tree.static / "large.bin"),
        ("X-Accel-Redirect", "/internal//large.bin?x"),
    ):
        response = handed(handing, by, name)
        assert (response.status, response.body == LARGE) == (200, True)
        assert response.header("Content-Disposition") == "attachment"
        assert response.header("Content-Type") == "text/html; charset=utf-8"
        assert response.header("Accept-Ranges") == "bytes"
        assert response.header(by) is None
        etag = response.header("ETag")
        assert etag not in (None, '"of the body"')
        assert handed(handing, by, name, f"If-None-Match: {etag}").status == 304
        part = handed(handing, by, name, "Range: bytes=10-19")
        assert (part.status, part.body) == (206, LARGE[10:20])
        assert part.header("Content-Range") == f"bytes 10-19/{len(LARGE)}"
        beyond = handed(handing, by, name, f"Range: bytes={len(LARGE)}-")
        assert (beyond.status, beyond.body) == (416, b"")
        assert handed(handing, by, name, 'If-Match: "x"').status == 412
    typed = handed(handing, "X-Accel-Redirect", "/internal/app.css", more="&untyped")
    assert (typed.body, typed.header("Content-Type")) == (CSS, "text/css; charset=utf-8")
    assert typed.header("Content-Encoding") is None
    named = handed(handing, "X-Accel-Redirect", "/internal/a%20b%C3%A4%25.txt")
    assert named.text == "named"
    assert handed(handing, "X-Sendfile", tree.static / "empty.txt").body == b""
    with handing.connect() as connection:
        for _ in range(3):
            response = connection.get(f"/handed?by=X-Sendfile&name={tree.static / 'app.css'}")
            assert response.body == CSS


def test_a_view_hands_out_nothing_else(handing: Server, tree: Tree) -> None:
    for by, name, status in (
        ("X-Accel-Redirect", "/internal/none", 404),
        ("X-Accel-Redirect", "/internal/d", 404),
        ("X-Accel-Redirect", "/internal/outside", 404),
        ("X-Accel-Redirect", "/internal/../secret.txt", 500),
        ("X-Accel-Redirect", "/elsewhere/app.css", 500),
        ("X-Accel-Redirect", "/etc/passwd", 500),
        ("X-Sendfile", tree.root / "secret.txt", 500),
        ("X-Sendfile", tree.static / ".." / "secret.txt", 500),
        ("X-Sendfile", tree.static / "outside", 404),
        ("X-Sendfile", "/etc/passwd", 500),
        ("X-Sendfile", "app.css", 500),
    ):
        response = handed(handing, by, name)
        assert response.status == status, name
        assert b"secret" not in response.body
        assert response.header("Content-Disposition") is None
    assert ask(handing, "/internal/app.css").status == 404
    refused = handed(handing, "X-Sendfile", tree.static / "app.css", more="&status=403")
    assert (refused.status, refused.text) == (403, "in place of the file")


def test_without_a_directory_the_fields_are_a_proxys(files: Server, tree: Tree) -> None:
    response = handed(files, "X-Sendfile", tree.static / "app.css")
    assert (response.status, response.text) == (200, "in place of the file")
    assert response.header("X-Sendfile") == str(tree.static / "app.css")
