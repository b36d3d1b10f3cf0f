"""Packages in directories of their own, on the path only of processes that are to find them.

They change what the server does as soon as they can be imported, or are tools of a few tests.
"""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def directory_with(name: str, *options: str) -> Path:
    """Where ``requirements/NAME.txt`` is installed; that happens once for each list of versions.

    ``options`` are pip's.
    """
    wanted = ROOT / "requirements" / f"{name}.txt"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    place = TARGET / "packages" / f"{name}-{version}"
    stamp = place / "installed"
    place.mkdir(parents=True, exist_ok=True)
    with (place.parent / f"{name}-{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted.read_text():
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run(
                [*pip, *options, "--upgrade", "--target", str(place), "--requirement", str(wanted)],
                check=True,
            )
            stamp.write_text(wanted.read_text())
    return place
