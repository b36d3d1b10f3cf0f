"""Packages in directories of their own, on the path only of processes that are to find them.

They change what the server does as soon as they can be imported, or are tools of a few tests.
"""

import fcntl
import os
import subprocess
import sys
import tarfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def directory_with(name: str, *options: str) -> Path:
    """Where ``requirements/NAME.txt`` is installed; that happens once for each list of versions.

    ``options`` are pip's.
    """
    wanted = ROOT / "requirements" / f"{name}.txt"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    place = TARGET / "packages" / f"{name}-{version}"
    with to_be_filled(place, wanted.read_text()) as is_empty:
        if is_empty:
            into = ["--upgrade", "--target", str(place), "--requirement", str(wanted)]
            subprocess.run([*PIP, "install", *options, *into], check=True)
    return place


def source_of(name: str, version: str) -> Path:
    """Where the source distribution of a release is unpacked; it is fetched once."""
    place = TARGET / "packages" / f"{name}-{version}-source"
    with to_be_filled(place, version) as is_empty:
        if is_empty:
            options = ["--no-deps", "--no-binary", name, "--dest", str(place), f"{name}=={version}"]
            subprocess.run([*PIP, "download", *options], check=True)
            (archive,) = place.glob("*.tar.gz")
            with tarfile.open(archive) as packed:
                packed.extractall(place, filter="data")
    return next(path for path in place.iterdir() if path.is_dir())


@contextmanager
def to_be_filled(place: Path, contents: str) -> Generator[bool]:
    """Whether a directory still has to be filled; one process at a time asks."""
    stamp = place / "installed"
    place.mkdir(parents=True, exist_ok=True)
    with (place.parent / f"{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        is_empty = not stamp.exists() or stamp.read_text() != contents
        yield is_empty
        stamp.write_text(contents)
