"""``hurricane compress`` and ``manage.py compress_static``."""

import gzip
import sys
from pathlib import Path

from conftest import Starter
from serving import as_settings, run

CSS = "a { color: red }\n" * 200


def test_collected_files_are_compressed_and_served(start_once: Starter, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.css").write_text(CSS)
    settings = as_settings(
        INSTALLED_APPS=["hurricane", "stage", "django.contrib.staticfiles"],
        STATIC_URL="/static/",
        STATIC_ROOT=str(tmp_path / "root"),
        STATICFILES_DIRS=[str(tmp_path / "source")],
    )
    collect = ("--command", "collectstatic --no-input", "--command", "compress_static")
    server = start_once("--static", *collect, env=settings)
    for accepted, coding in (("gzip", "gzip"), ("gzip, br", "br"), ("br, zstd", "zstd")):
        response = server.get("/static/a.css", f"Accept-Encoding: {accepted}")
        assert (response.status, response.header("Content-Encoding")) == (200, coding)
        assert len(response.body) < len(CSS) / 10
    compressed = server.get("/static/a.css", "Accept-Encoding: gzip")
    assert gzip.decompress(compressed.body).decode() == CSS
    assert server.get("/static/a.css").text == CSS


def test_the_console_script_compresses_any_directory(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.js").write_text(CSS)
    words = [sys.executable, "-m", "hurricane", "compress", "--jobs", "2", str(tmp_path)]
    first, second = run(words), run(words)
    assert first.returncode == second.returncode == 0
    assert first.stdout.startswith("1 files: 3 copies made, 0 up to date, 0 not worth it; ")
    assert second.stdout == "1 files: 0 copies made, 3 up to date, 0 not worth it\n"
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == [
        "a.js",
        "a.js.br",
        "a.js.gz",
        "a.js.zst",
    ]


def test_what_cannot_be_compressed_is_said_in_a_sentence() -> None:
    words = [sys.executable, "-m", "hurricane", "compress"]
    missing = run([*words, "/nonexistent/d"])
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.startswith("hurricane: /nonexistent/d: No such file or directory")
    assert run(words).returncode == 2
    command = [sys.executable, "manage.py", "compress_static"]
    rootless = run(command)
    assert rootless.returncode == 1
    assert "settings.STATIC_ROOT is None, which is no directory; run" in rootless.stderr
