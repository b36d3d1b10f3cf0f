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


def tree(root: int) -> list[int]:
    """A process and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[PARENT]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def tree_usage(root: int) -> Usage:
    """Usage of a process, its descendants, and those that it has waited for."""
    pids = tree(root)
    ticks = sum(int(field) for pid in pids for field in _stat(pid)[UTIME : CUTIME + 2])
    return Usage(ticks * TICK, sum(_switches(pid) for pid in pids))


def tree_pss_mib(root: int) -> float:
    """Memory of a process and its descendants; what several map is shared out among them."""
    return sum(_pss_kib(pid) for pid in tree(root)) / 1024


def cpu_busy_seconds(cpus: set[int]) -> float:
    """How long some CPUs have run anything at all, or were taken away by the hypervisor."""
    ticks = 0
    for line in (PROC / "stat").read_text().splitlines():
        name, *fields = line.split()
        if name in {f"cpu{cpu}" for cpu in cpus}:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
            ticks += user + nice + system + irq + softirq + steal
    return ticks * TICK


def command_name(pid: int) -> str:
    """The name that a process has given itself; empty when it has gone."""
    return _read(pid, "comm").strip()


def _stat(pid: int) -> list[str]:
    """The fields behind the command's name, none when the process has gone."""
    return _read(pid, "stat").rpartition(")")[2].split()


def _switches(pid: int) -> int:
    total = 0
    for status in (PROC / str(pid)).glob("task/*/status"):
        try:
            lines = status.read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
    return total


def _pss_kib(pid: int) -> int:
    for line in _read(pid, "smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def _read(pid: int, name: str) -> str:
    try:
        return (PROC / str(pid) / name).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
