"""Files that a disk, a file system or a slow reader makes hard to serve."""

import os
import shlex
import socket
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from condition import wait_until
from conftest import Starter
from serving import Server
from wire import Connection, Response, request

LONG = bytes(range(251)) * 14_000
READERS = 100
KIB = 1 << 10
MIB = 1 << 20
# More than the kernel takes in for a reader who does not read.
VIDEO_BYTES = 8 * MIB


@dataclass
class Layered:
    """A directory on overlayfs, as the files of an image are for a container."""

    lower: Path
    upper: Path
    merged: Path

    def prefix(self) -> tuple[str, ...]:
        """What runs a command that sees it mounted; for nobody else it is."""
        layers = f"lowerdir={self.lower},upperdir={self.upper},workdir={self.upper}-work"
        mount = f"mount -t overlay overlay -o {layers} {shlex.quote(str(self.merged))}"
        users = () if os.geteuid() == 0 else ("--map-root-user",)
        return ("unshare", *users, "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh")


@pytest.fixture(scope="module")
def layered(tmp_path_factory: pytest.TempPathFactory) -> Layered:
    root = tmp_path_factory.mktemp("layers")
    layers = Layered(root / "lower", root / "upper", root / "merged")
    for directory in (layers.lower, layers.upper, root / "upper-work", layers.merged):
        directory.mkdir()
    (root / "secret").write_text("secret")
    (layers.lower / "short.css").write_text("a { }")
    (layers.lower / "short.css.gz").write_bytes(b"gz")
    (layers.lower / "long.bin").write_bytes(LONG)
    (layers.lower / "inside").symlink_to("short.css")
    (layers.lower / "outside").symlink_to("../secret")
    (layers.upper / "added.txt").write_text("added")
    done = subprocess.run([*layers.prefix(), "true"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, (
        f"overlayfs cannot be mounted, as root or in a user namespace: {done.stderr}"
    )
    return layers


@pytest.fixture(scope="module")
def on_overlay(engine: str, layered: Layered) -> Generator[Server]:
    starter = Starter(engine)
    try:
        flags = ("--static-path", f"/s={layered.merged}")
        yield starter(*flags, application="wsgi_apps:dispatch", prefix=layered.prefix())
    finally:
        starter.end()


def ask(server: Server, target: str, *fields: str) -> Response:
    with Connection(server.port) as connection:
        return connection.get(target, *fields)


def test_files_of_an_image_are_served_as_others(on_overlay: Server) -> None:
    for path, status, body in (
        ("/s/short.css", 200, b"a { }"),
        ("/s/added.txt", 200, b"added"),
        ("/s/inside", 200, b"a { }"),
        ("/s/none", 404, b"Not Found\n"),
        ("/s/outside", 403, b"Forbidden\n"),
        ("/s/%2e%2e/secret", 403, b"Forbidden\n"),
    ):
        response = ask(on_overlay, path)
        assert (response.status, response.body) == (status, body), path
    assert ask(on_overlay, "/s/short.css", "Accept-Encoding: gzip").body == b"gz"
    etag = ask(on_overlay, "/s/short.css").header("ETag")
    assert ask(on_overlay, "/s/short.css", f"If-None-Match: {etag}").status == 304


def test_a_long_file_of_an_image_is_read_by_a_thread_and_not_by_the_loop(
    on_overlay: Server,
) -> None:
    assert ask(on_overlay, "/s/long.bin").body == LONG
    part = ask(on_overlay, "/s/long.bin", "Range: bytes=2000000-2999999")
    assert (part.status, part.body) == (206, LONG[2_000_000:3_000_000])
    (worker,) = on_overlay.workers()
    tasks = Path(f"/proc/{worker}/task")
    waiting = [task for task in tasks.iterdir() if (task / "comm").read_text().startswith("disk-")]
    read = [(task / "io").read_text().splitlines()[0] for task in waiting]
    assert sum(int(line.removeprefix("rchar: ")) for line in read) >= len(LONG)


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sparse")
    with (root / "video.bin").open("wb") as file:
        file.truncate(VIDEO_BYTES)
    (root / "short.txt").write_text("short")
    return root


def test_slow_readers_all_get_their_file_and_take_no_memory(start: Starter, sparse: Path) -> None:
    server = start("--static-path", f"/s={sparse}", application="wsgi_apps:dispatch")
    server.get("/s/video.bin")
    before = server.forget_peak()
    readers = [server.connect() for _ in range(READERS)]
    for reader in readers:
        # Not less: with no room for a segment, 64 KiB on loopback, a window never opens again.
        reader.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 128 * KIB)
        reader.send(request("GET", "/s/video.bin"))
    left = {reader: VIDEO_BYTES for reader in readers if reader.head().status == 200}
    assert len(left) == READERS
    for piece in (1, 16 * KIB, 100 * KIB):
        for reader in readers:
            reader.drop(piece)
            left[reader] -= piece
        assert ask(server, "/s/short.txt").body == b"short"
    for reader in readers[::2]:
        reader.drop(left[reader])
        assert reader.get("/s/short.txt").body == b"short"
    assert server.peak_bytes() - before < READERS * 2 * MIB // 8
    for reader in readers[1::2]:
        reader.reset()
    assert ask(server, "/s/short.txt").status == 200


def test_every_worker_answers_the_same(start: Starter, tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("one")
    (tmp_path / "long.bin").write_bytes(LONG)
    flags = ("--workers", "2", "--static-path", f"/s={tmp_path}")
    server = start(*flags, application="wsgi_apps:dispatch")

    def answered() -> list[int]:
        return [worker["requests"] for worker in server.status()["workers"]]

    tags = set()

    def both_have_answered() -> bool:
        tags.add(ask(server, "/s/a.css").header("ETag"))
        return min(answered()) > 0

    wait_until(both_have_answered, 10, "an answer of each worker")
    assert len(tags) == 1
    for _ in range(8):
        assert ask(server, "/s/long.bin").body == LONG
    (tmp_path / "a.css").write_text("another")

    def is_new_everywhere() -> bool:
        return all(ask(server, "/s/a.css").text == "another" for _ in range(16))

    wait_until(is_new_everywhere, 10, "the change in each worker")
