"""The numbers of a process, summed over all processes of the server.

``prometheus_client`` tells them of the process that it is in, which was the whole server once.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Cpu:
    """CPU time that has been told; it never falls, although processes end while they are read."""

    def __init__(self) -> None:
        self.told = 0.0

    def tell(self, seconds: float) -> float:
        """At least what was told before."""
        self.told = max(self.told, seconds)
        return self.told


cpu = Cpu()


def summed(family: Any) -> Any:  # noqa: ANN401 - the library's family
    """The family with the sum in place of this process's number, if it is one of these."""
    measure = MEASURES.get(family.name)
    if measure is None:
        return family
    value = measure()
    family.samples = [sample._replace(value=value) for sample in family.samples]
    return family


def pids() -> list[int]:
    """The supervisor, then its children."""
    supervisor = os.getppid()
    children: list[str] = []
    with suppress(OSError):
        path = Path(f"/proc/{supervisor}/task/{supervisor}/children")
        children = path.read_text().split()
    return [supervisor, *map(int, children)]


def stat(pid: int) -> list[str]:
    """The fields of ``/proc/PID/stat`` from the third on; none of a process that has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def cpu_seconds() -> float:
    """User and system time, of processes that have ended too."""
    ticks = 0
    for index, pid in enumerate(pids()):
        # The supervisor has waited for those that ended: its numbers hold theirs.
        last = 15 if index == 0 else 13
        ticks += sum(int(field) for field in stat(pid)[11:last])
    return cpu.tell(ticks / TICKS)


def memory(field: int, unit: int) -> float:
    """The sum of a field of ``/proc/PID/stat``."""
    return float(sum(int(fields[field]) * unit for pid in pids() if (fields := stat(pid))))


def resident_bytes() -> float:
    """Memory with shared pages counted in part, as the processes share most of theirs."""
    total = 0
    for pid in pids():
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024.0 or memory(21, PAGE_BYTES)


def open_descriptors() -> float:
    """Open files of all processes."""
    total = 0
    for pid in pids():
        with suppress(OSError):
            total += len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - it only counts
    return float(total)


def start_seconds() -> float:
    """When the supervisor started, since 1970."""
    lines = Path("/proc/stat").read_text().splitlines()
    boot = next((int(line.split()[1]) for line in lines if line.startswith("btime ")), 0)
    fields = stat(os.getppid())
    return boot + int(fields[19]) / TICKS if fields else 0.0


MEASURES: dict[str, Callable[[], float]] = {
    "process_cpu_seconds": cpu_seconds,
    "process_open_fds": open_descriptors,
    "process_resident_memory_bytes": resident_bytes,
    "process_start_time_seconds": start_seconds,
    "process_virtual_memory_bytes": lambda: memory(20, 1),
}
