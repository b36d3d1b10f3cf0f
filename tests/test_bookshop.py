"""The example project as its README says: migrate, seed, serve."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from condition import wait_until
from conftest import Starter
from serving import BOOKSHOP, Server, run


@pytest.fixture
def shop(start: Starter, tmp_path: Path) -> Callable[[], Server]:
    """Starts the bookshop on a migrated, empty database."""
    place = {"DATABASE_PATH": str(tmp_path / "db.sqlite3"), "MEDIA_ROOT": str(tmp_path / "media")}

    def manage(*words: str) -> None:
        ended = run([sys.executable, "manage.py", *words], env=place, cwd=BOOKSHOP)
        assert ended.returncode == 0, ended.stderr

    def opened() -> Server:
        manage("migrate", "--verbosity", "0")
        server = start("--workers", "2", env=place, project=BOOKSHOP)
        wait_until(lambda: "shelves" in server.probe("/ready").response.text, 5, "empty shelves")
        manage("seed")
        server.wait_for_ready()
        return server

    return opened


def test_the_bookshop_becomes_ready_when_its_shelves_are_filled_and_sells(
    shop: Callable[[], Server],
) -> None:
    server = shop()
    page = server.get("/")
    assert page.status == 200
    assert page.text.count("<li>") == 60
    assert len(server.get("/api/books/").json()["books"]) == 60
    stock = server.get("/stock.csv")
    assert stock.header("Transfer-Encoding") == "chunked"
    assert stock.body.count(b"\r\n") == 201
    assert server.get("/admin/login/").status == 200
    assert server.get("/static/admin/css/base.css").header("Content-Type") == "text/css"
    server.terminate()
    assert server.wait() == 0


def test_a_cover_that_is_uploaded_through_a_form_comes_back(shop: Callable[[], Server]) -> None:
    server = shop()
    page = server.get("/books/1/")
    token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token is not None
    cookie = page.all("Set-Cookie")[0].partition(";")[0]
    cover = b"\x89PNG\r\n" + b"pixels" * 500_000
    parts = [
        b'name="csrfmiddlewaretoken"\r\n\r\n' + token[1].encode(),
        b'name="cover"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n' + cover,
    ]
    form = b"".join(b"--mark\r\nContent-Disposition: form-data; " + p + b"\r\n" for p in parts)
    sent = server.post(
        "/books/1/cover/upload/",
        form + b"--mark--\r\n",
        "Content-Type: multipart/form-data; boundary=mark",
        f"Cookie: {cookie}",
    )
    assert (sent.status, sent.header("Location")) == (302, "/books/1/")
    assert server.get("/books/1/cover/").body == cover
    assert b"<img" in server.get("/books/1/").body
