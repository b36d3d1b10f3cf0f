"""Static files and uploads."""

from pathlib import Path

import pytest

import wire
from contract.target import Serve, Target
from wire import request

mark = pytest.mark
CONTENT = b"body { color: teal }\n" * 100


def settings(root: Path) -> dict[str, object]:
    """Settings of a project that has collected its files there."""
    return {
        "STATIC_URL": "/static/",
        "STATIC_ROOT": str(root / "static"),
        "MEDIA_URL": "/media/",
        "MEDIA_ROOT": str(root / "media"),
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files are."""
    root = tmp_path_factory.mktemp("files")
    (root / "static" / "shop").mkdir(parents=True)
    (root / "media").mkdir()
    (root / "static" / "shop" / "a.css").write_bytes(CONTENT)
    (root / "media" / "cover.txt").write_bytes(b"a cover")
    (root / "secret.txt").write_bytes(b"secret")
    return root


@pytest.fixture
def files(serve: Serve, root: Path) -> Target:
    """A server of those files."""
    return serve.shared("--static", "--media", settings=settings(root))


def ask(target: Target, method: str, path: str, *headers: str) -> wire.Response:
    """One request as it is written."""
    with target.connect(timeout=5.0) as connection:
        connection.send(request(method, path, "Connection: close", *headers))
        return connection.response(method)


@mark.row("static.found")
def test_a_file_has_what_caches_need(files: Target) -> None:
    response = files.get("/static/shop/a.css")
    assert (response.status, response.body) == (200, CONTENT)
    assert (response.header("Content-Type") or "").startswith("text/css")
    assert (response.header("ETag") or "").startswith('"')
    assert response.header("Last-Modified")
    assert response.header("Accept-Ranges") == "bytes"


@mark.row("static.charset")
def test_a_text_file_names_its_charset(files: Target) -> None:
    media = files.get("/static/shop/a.css").header("Content-Type")
    assert media == "text/css; charset=utf-8"


@mark.old("static.charset")
def test_a_text_file_named_no_charset(files: Target) -> None:
    assert files.get("/static/shop/a.css").header("Content-Type") == "text/css"


@mark.row("static.media")
def test_uploads_are_served(files: Target) -> None:
    assert files.get("/media/cover.txt").body == b"a cover"


@mark.row("static.not-modified")
def test_what_a_client_has_is_not_sent_again(files: Target) -> None:
    tag = files.get("/static/shop/a.css").header("ETag")
    response = ask(files, "GET", "/static/shop/a.css", f"If-None-Match: {tag}")
    assert (response.status, response.body) == (304, b"")


@mark.row("static.range")
def test_a_part_of_a_file_can_be_had(files: Target) -> None:
    response = ask(files, "GET", "/static/shop/a.css", "Range: bytes=0-3")
    assert (response.status, response.body) == (206, CONTENT[:4])
    assert response.header("Content-Range") == f"bytes 0-3/{len(CONTENT)}"


@mark.row("static.version")
def test_a_file_with_a_version_is_kept_for_ten_years(files: Target) -> None:
    response = files.get("/static/shop/a.css?v=1")
    assert "max-age=315360000" in (response.header("Cache-Control") or "")
    assert response.header("Expires")


@mark.row("static.missing")
def test_a_file_that_is_not_there_is_not_found(files: Target) -> None:
    assert files.get("/static/shop/b.css").status == 404


@mark.row("static.directory")
def test_a_directory_is_forbidden(files: Target) -> None:
    assert files.get("/static/shop").status == 403


@mark.row("static.traversal")
def test_nothing_beside_the_root_is_served(files: Target) -> None:
    for path in ("/static/../secret.txt", "/static/%2e%2e/secret.txt"):
        response = ask(files, "GET", path)
        assert response.status in {403, 404}
        assert response.body != b"secret"


@mark.row("static.post")
def test_files_take_no_post(files: Target) -> None:
    assert ask(files, "POST", "/static/shop/a.css", "Content-Length: 0").status == 405


@mark.row("static.head")
def test_files_take_head(files: Target) -> None:
    response = ask(files, "HEAD", "/static/shop/a.css")
    assert (response.status, response.header("Content-Length")) == (200, str(len(CONTENT)))


@mark.row("static.application")
def test_the_application_is_beside_the_files(files: Target) -> None:
    assert files.get("/").body == b"hello"


@mark.row("static.off")
def test_without_the_flags_there_are_no_files(serve: Serve) -> None:
    assert serve.shared().get("/static/shop/a.css").status == 404


@mark.row("static.no-root")
def test_a_root_that_is_not_set_ends_the_start(serve: Serve) -> None:
    target = serve("--static", settings={"STATIC_URL": "/static/", "STATIC_ROOT": None}, wait=False)
    assert target.wait(target.patience) != 0
    assert "STATIC_ROOT" in target.log()


@mark.old("static.no-root")
def test_without_a_root_each_file_was_an_error(serve: Serve) -> None:
    target = serve("--static", settings={"STATIC_URL": "/static/", "STATIC_ROOT": None})
    assert target.get("/static/a.css").status == 500
    assert target.get("/").body == b"hello"


@mark.row("static.no-url")
def test_media_without_an_address_do_not_hide_the_application(serve: Serve, root: Path) -> None:
    target = serve("--media", settings={**settings(root), "MEDIA_URL": ""}, wait=False)
    code = target.wait(target.patience)
    assert code != 0
    assert "MEDIA_URL" in target.log()


@mark.row("static.lines")
def test_where_files_come_from_is_told(files: Target, root: Path) -> None:
    files.wait_for_text(f"Serving static files under /static/ from {root / 'static'}")
    files.wait_for_text(f"Serving media files under /media/ from {root / 'media'}")
