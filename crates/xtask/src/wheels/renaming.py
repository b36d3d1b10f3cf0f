"""Gives a directory that a wheel names another name: ``renaming.py WHEEL FROM TO``.

maturin writes a bill of materials into wheels, in which crates are named by where they were built.
"""

import base64
import hashlib
import sys
from pathlib import Path
from zipfile import ZipFile


def rename(wheel: Path, old: bytes, new: bytes) -> None:
    """Writes the wheel anew, everything else as it was."""
    written = wheel.with_suffix(".renamed")
    lines: dict[str, str] = {}
    with ZipFile(wheel) as source, ZipFile(written, "w") as copy:
        for file in source.infolist():
            content = source.read(file)
            if ".dist-info/sboms/" in file.filename:
                content = content.replace(old, new)
                digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
                recorded = f"sha256={digest.decode().rstrip('=')},{len(content)}"
                lines[file.filename] = recorded
            # The last of all files.
            if file.filename.endswith(".dist-info/RECORD"):
                content = record(content.decode(), lines).encode()
            copy.writestr(file, content)
    written.replace(wheel)


def record(text: str, lines: dict[str, str]) -> str:
    """The list of files, with new hashes and sizes where there are some."""
    listed = []
    for line in text.splitlines():
        name = line.split(",")[0]
        listed.append(f"{name},{lines[name]}" if name in lines else line)
    return "\n".join([*listed, ""])


if __name__ == "__main__":
    rename(Path(sys.argv[1]), sys.argv[2].encode(), sys.argv[3].encode())
