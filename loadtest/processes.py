"""What processes and CPUs have used, read from /proc."""

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICK = 1 / os.sysconf("SC_CLK_TCK")

# Fields of /proc/PID/stat behind the command's name.
PARENT, UTIME, CUTIME = 1, 11, 13


@dataclass(frozen=True)
class Usage:
    """CPU time and context switches since the start of all processes of a tree."""

    cpu_seconds: float
    switches: int

    def __sub__(self, earlier: "Usage") -> "Usage":
        return Usage(self.cpu_seconds - earlier.cpu_seconds, self.switches - earlier.switches)


def tree_usage(root: int) -> Usage:
    """Usage of a process, its descendants, and those that it has waited for."""
    ticks = sum(_tree_ticks(root))
    switches = sum(_switches(pid) for pid in _tree(root))
    return Usage(ticks * TICK, switches)


def cpu_busy_seconds(cpus: set[int]) -> float:
    """How long some CPUs have run anything at all, or were taken away by the hypervisor."""
    ticks = 0
    for line in (PROC / "stat").read_text().splitlines():
        name, *fields = line.split()
        if name in {f"cpu{cpu}" for cpu in cpus}:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
            ticks += user + nice + system + irq + softirq + steal
    return ticks * TICK


def _tree_ticks(root: int) -> list[int]:
    ticks = []
    for pid in _tree(root):
        fields = _stat(pid)
        if fields:
            ticks += [int(field) for field in fields[UTIME : CUTIME + 2]]
    return ticks


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[PARENT]), []).append(int(entry.name))
    tree = [root]
    for pid in tree:
        tree += children.get(pid, [])
    return tree


def _stat(pid: int) -> list[str]:
    """The fields behind the command's name, none when the process has gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def _switches(pid: int) -> int:
    total = 0
    for status in (PROC / str(pid)).glob("task/*/status"):
        try:
            lines = status.read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
    return total
