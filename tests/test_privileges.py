"""Who the server runs as, and what it leaves behind."""

import grp
import os
import pwd
import shutil
import sys
from pathlib import Path

import pytest

from condition import wait_until
from conftest import Starter
from serving import APPS, Server, run
from wire import Connection

NOBODY = pwd.getpwnam("nobody")
HELLO = "wsgi_apps:hello"
# Where only root gets at the interpreter it is put where everybody does, for the server alone.
WITH_INTERPRETER = """
mount -t tmpfs -o mode=755 none /mnt
mkdir /mnt/python && mount --bind "$0" /mnt/python
mount -t tmpfs -o mode=755 none "$1"
mkdir -p "$0" && mount --bind /mnt/python "$0"
exec "$@"
"""


@pytest.fixture(autouse=True)
def as_root() -> None:
    """Only root can become somebody else."""
    assert os.geteuid() == 0, "these tests become other users: run them as root"


def prefix() -> list[str]:
    """What starts a server whose interpreter others can read."""
    base = Path(sys.base_prefix).resolve()
    for parent in reversed(base.parents):
        if not parent.stat().st_mode & 0o001:
            script = WITH_INTERPRETER.replace('exec "$@"', 'shift; exec "$@"')
            return ["unshare", "--mount", "sh", "-e", "-c", script, str(base), str(parent)]
    return []


def ids(server: Server) -> set[tuple[str, str, str]]:
    """Users, groups and supplementary groups of all processes."""
    found = set()
    for pid in server.family():
        fields = dict(
            line.split(":", 1)
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith(("Uid:", "Gid:", "Groups:"))
        )
        uids, gids, groups = (" ".join(fields[name].split()) for name in ("Uid", "Gid", "Groups"))
        found.add((uids, gids, groups))
    return found


def four(number: int) -> str:
    """Real, effective, saved and of the file system."""
    return " ".join([str(number)] * 4)


def test_every_process_is_the_user_and_can_not_be_another(start: Starter) -> None:
    server = start("--user", "nobody", application=HELLO, prefix=prefix())
    assert server.get("/").body == b"hello"
    assert len(server.family()) >= 3
    groups = sorted({NOBODY.pw_gid, *(it.gr_gid for it in grp.getgrall() if "nobody" in it.gr_mem)})
    shown = " ".join(map(str, groups))
    assert ids(server) == {(four(NOBODY.pw_uid), four(NOBODY.pw_gid), shown)}
    # What it is told of its own children.
    assert server.status()["workers"][0]["pid"] in server.family()
    server.terminate()
    assert server.wait() == 0


def test_a_worker_that_dies_is_replaced_by_the_same_user(start_once: Starter) -> None:
    server = start_once("--user", "65534", "--group", "12345", application=HELLO, prefix=prefix())
    (before,) = server.workers()
    os.kill(before, 9)
    wait_until(lambda: server.workers() not in ([before], [0]), 10, "another worker")
    assert server.get("/").body == b"hello"
    assert {(uids, gids) for uids, gids, _ in ids(server)} == {(four(65534), four(12345))}


def test_a_group_alone_leaves_the_user(start_once: Starter, tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    server = start_once("--group", "12345", "--uds", str(path), application=HELLO)
    assert ids(server) == {(four(0), four(12345), "12345")}
    assert path.stat().st_gid == 12345
    with Connection(path) as connection:
        assert connection.get("/").body == b"hello"
    server.terminate()
    assert server.wait() == 0
    assert not path.exists()


@pytest.mark.parametrize(
    ("flags", "user", "cause"),
    [
        (["--user", "nobody-like-that"], 0, "--user nobody-like-that is not known on this host"),
        (["--group", "nobody-like-that"], 0, "--group nobody-like-that is not known on this host"),
        (["--user", "4000000001"], 0, "has no entry in /etc/passwd that names its group"),
        (["--user", "0", "--group", "0"], NOBODY.pw_uid, "need root, and this is user"),
    ],
    ids=["user", "group", "number", "not-root"],
)
def test_whom_it_cannot_be_is_said_before_it_listens(
    flags: list[str], user: int, cause: str
) -> None:
    as_user = ["setpriv", "--reuid", str(user), "--clear-groups"] if user else []
    words = [*prefix(), *as_user, sys.executable, "-m", "hurricane", "serve", HELLO, "--no-probe"]
    ended = run([*words, "--port", "0", *flags], cwd=APPS)
    assert ended.returncode == 1, ended.stderr
    assert cause in ended.stderr


def contents(directory: Path) -> set[Path]:
    """Everything below it but what Python compiles."""
    return {path for path in directory.rglob("*") if "__pycache__" not in path.parts}


def test_no_file_is_left_behind(start_once: Starter, tmp_path: Path) -> None:
    application = tmp_path / "application"
    shutil.copytree(APPS, application)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    before = contents(tmp_path)
    env = {"TMPDIR": str(temporary), "HOME": str(temporary)}
    server = start_once(application=HELLO, project=application, env=env)
    # A body that is kept in a file for as long as it is needed.
    assert server.post("/", b"x" * (3 << 20)).status == 200
    assert contents(tmp_path) == before
    server.terminate()
    assert server.wait() == 0
    assert contents(tmp_path) == before
