"""The files that servers serve themselves: of every size, without taking room on the disk."""

import os
from pathlib import Path

KIB = 1 << 10
MIB = 1 << 20
SIZES = {"1k": KIB, "4k": 4 * KIB, "64k": 64 * KIB, "1m": MIB, "100m": 100 * MIB}

TARGET = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).parents[1] / "target"))


def directory() -> Path:
    """``static/SIZE.txt`` for every size, below the target directory; made when they are not there.

    They have holes: the kernel keeps their pages in memory as those of any file.
    """
    root = TARGET / "loadtest-files"
    (root / "static").mkdir(parents=True, exist_ok=True)
    for name, size in SIZES.items():
        path = root / "static" / f"{name}.txt"
        if not path.exists() or path.stat().st_size != size:
            with path.open("wb") as file:
                file.truncate(size)
    return root
