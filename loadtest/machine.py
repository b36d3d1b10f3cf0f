"""What was measured on: the machine, and the versions of everything."""

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from servers import KINDS, Places

ROOT = Path(__file__).parent.parent


def describe(places: Places, kinds: set[str]) -> dict[str, object]:
    """Enough to repeat it."""
    return {
        "commit": _said(["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]),
        "cpu": _cpu(),
        "cpus": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "rust": _said(["rustc", "--version"]),
        "versions": {kind: version(kind, places) for kind in sorted(kinds)},
        "django": importlib.metadata.version("Django"),
    }


def version(kind: str, places: Places) -> str:
    """The version of a server; empty when it cannot be told."""
    if kind == "nginx":
        return _said(["/usr/sbin/nginx", "-v"]).rpartition("/")[2]
    if crate := KINDS[kind].crate:
        locked = tomllib.loads((ROOT / "loadtest/native/Cargo.lock").read_text())
        found = (each["version"] for each in locked["package"] if each["name"] == crate)
        return str(next(found, ""))
    scripts = places.legacy if kind == "django-hurricane" else places.scripts
    question = (
        f"import importlib.metadata as m; print(m.version({KINDS[kind].distribution!r}), end='')"
    )
    return _said([str((scripts or Path(sys.executable).parent) / "python"), "-c", question])


def _cpu() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _said(command: list[str]) -> str:
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
    except OSError:
        return ""
    return (ended.stdout or ended.stderr).strip() if ended.returncode == 0 else ""
