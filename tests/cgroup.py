"""Real cgroups, where we may make them: v1 and v2."""

import itertools
import os
from pathlib import Path

from condition import wait_until

PERIOD_US = 100_000
MOUNT = Path("/sys/fs/cgroup")
NUMBERS = itertools.count()


class Group:
    """A cgroup of one controller, below the root of its tree."""

    def __init__(self, controller: str) -> None:
        self.unified = (MOUNT / "cgroup.controllers").exists()
        parent = MOUNT if self.unified else MOUNT / controller
        self.directory = parent / f"hurricane-test-{os.getpid()}-{next(NUMBERS)}"
        self.directory.mkdir()

    def entry(self) -> tuple[str, ...]:
        """What a command line begins with to run inside."""
        script = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
        return ("sh", "-c", script, str(self.directory))

    def remove(self) -> None:
        """Removes it when its last process has ended."""
        procs = self.directory / "cgroup.procs"
        wait_until(lambda: procs.read_text() == "", 10, "the cgroup to be empty")
        self.directory.rmdir()


class CpuGroup(Group):
    """One with a CPU limit."""

    def __init__(self, cpus: float) -> None:
        super().__init__("cpu")
        self.limit(cpus)

    def limit(self, cpus: float) -> None:
        """Sets the limit, as a resize in place does."""
        quota = round(cpus * PERIOD_US)
        if self.unified:
            (self.directory / "cpu.max").write_text(f"{quota} {PERIOD_US}")
        else:
            (self.directory / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (self.directory / "cpu.cfs_quota_us").write_text(str(quota))


class MemoryGroup(Group):
    """One with a memory limit."""

    def __init__(self, mib: int) -> None:
        super().__init__("memory")
        self.limit(mib)

    def limit(self, mib: int) -> None:
        """Sets the limit, as a resize in place does."""
        name = "memory.max" if self.unified else "memory.limit_in_bytes"
        (self.directory / name).write_text(str(mib << 20))
