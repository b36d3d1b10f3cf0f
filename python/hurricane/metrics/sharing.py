"""Makes metrics of ``prometheus_client`` those of the whole server.

It is the library's own way for several processes: each writes its values to a file, and a scrape
adds them up. Two things are ours. The files are named by the worker's place and not by its process
id, so a successor goes on with the values of the worker before it: no counter falls, and there are
as many files as places. And they are made when the server starts, in a directory in memory, so
nobody has to set up one before ``prometheus_client`` is imported.

Invariants:
- A file is written by one process at a time.
- A directory belongs to a server that lives as long as the lock in it is held: by any of its
  processes, so also while its supervisor is given new code.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hurricane.server.loggers import metrics_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PREFIX = "hurricane-metrics-"
LOCK = "lock"
# Memory, and writable where the root file system is not.
SHARED_MEMORY = Path("/dev/shm")
# What cannot be mapped is lost with a signal, so the directory must have room.
ROOM_BYTES_MIN = 4 * 1024 * 1024


class Sharing:
    """What this process knows of the shared metrics."""

    def __init__(self) -> None:
        self.name = "supervisor"
        self.pid = os.getpid()
        self.directory: Path | None = None
        self.lock: int | None = None
        self.value_class: Any = None
        self.has_failed = False

    def identity(self) -> str:
        """What the process's files are named by; a process that a view forks has its own."""
        pid = os.getpid()
        return self.name if pid == self.pid else f"{self.name}-{pid}"


sharing = Sharing()
# Whatever holds numbers of its own and is to share them.
holders: list[Callable[[], None]] = []


def share() -> None:
    """Shares what exists by now; called in the supervisor before each fork."""
    if sharing.has_failed:
        return
    try:
        from prometheus_client import REGISTRY, metrics, values
    except ModuleNotFoundError:
        sharing.has_failed = True
        metrics_log.warning(
            "prometheus_client is not installed: /metrics has the requests only; install it"
        )
        return
    if sharing.value_class is None:
        try:
            sharing.directory = make_directory()
        except OSError as error:
            sharing.has_failed = True
            metrics_log.warning(
                "Metrics of views are those of one process each, because no directory for them can "
                "be made (%s); mount a writable /dev/shm or set TMPDIR",
                error,
            )
            return
        os.environ[VARIABLE] = str(sharing.directory)
        sharing.value_class = values.MultiProcessValue(sharing.identity)  # type: ignore[no-untyped-call]
        values.ValueClass = sharing.value_class
    for collector in list(getattr(REGISTRY, "_collector_to_names", {})):
        if isinstance(collector, metrics.MetricWrapperBase):
            share_metric(collector)
    for share_held in holders:
        share_held()


def share_metric(metric: Any) -> None:  # noqa: ANN401 - any collector
    """Gives a metric that was made before values of the shared kind, with what it has counted."""
    for child in list(getattr(metric, "_metrics", {}).values()):
        share_metric(child)
    held = {name: value for name, value in vars(metric).items() if is_private(value)}
    if not held:
        return
    created = getattr(metric, "_created", None)
    metric._metric_init()  # noqa: SLF001 - the library has no other way to make them anew
    if created is not None:
        metric._created = created  # noqa: SLF001
    is_gauge = getattr(metric, "_type", "") == "gauge"
    for name, value in held.items():
        carry_over(value, getattr(metric, name), is_gauge=is_gauge)


def is_private(value: object) -> bool:
    """Whether it is a number (or buckets) of ``prometheus_client`` that this process has alone."""
    if isinstance(value, list):
        return bool(value) and is_private(value[0])
    return (
        hasattr(value, "get_exemplar")
        and hasattr(value, "inc")
        and not isinstance(value, sharing.value_class)
    )


def carry_over(old: Any, new: Any, *, is_gauge: bool) -> None:  # noqa: ANN401 - classes that the library makes
    """Adds what was counted to what is in the file, or sets a gauge as it was set."""
    if isinstance(old, list):
        for one, other in zip(old, new, strict=True):
            carry_over(one, other, is_gauge=is_gauge)
    elif is_gauge:
        new.set(old.get())
    elif amount := old.get():
        new.inc(amount)


def become(name: str) -> None:
    """The process that was forked goes by this name; what its forerunner had alive is gone."""
    sharing.name, sharing.pid = name, os.getpid()
    if sharing.directory is not None:
        for path in sharing.directory.glob(f"gauge_live*_{name}.db"):
            path.unlink(missing_ok=True)


def files(alive: list[str]) -> list[str]:
    """The files that a scrape adds up; ``alive``: the workers that there are."""
    if sharing.directory is None:
        return []
    present = {*alive, "control", "supervisor"}
    return [
        str(path)
        for path in sorted(sharing.directory.glob("*.db"))
        # One that is being made is empty.
        if path.stat().st_size and (is_kept(path) or owner_of(path) in present)
    ]


def is_kept(path: Path) -> bool:
    """Whether the file counts although its process has ended: all but gauges of the living."""
    return not path.name.startswith("gauge_live")


def owner_of(path: Path) -> str:
    """Whose gauges these are."""
    return path.stem.rpartition("_")[2].partition("-")[0]


def make_directory() -> Path:
    """A directory for this server alone; after a reload, the one that it has.

    The name says which process the supervisor is, which it stays when it is given new code.
    """
    name = f"{PREFIX}{os.getuid()}-{os.getpid()}-{started_at()}"
    refused = OSError("no candidate")
    for base in candidates():
        remove_dead(base)
        directory = base / name
        try:
            if room_in(base) < ROOM_BYTES_MIN:
                continue
            with contextlib.suppress(FileExistsError):
                directory.mkdir(mode=0o700)
            if directory.is_symlink() or directory.stat().st_uid != os.geteuid():
                continue
            sharing.lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(sharing.lock, fcntl.LOCK_SH)
        except OSError as error:
            refused = error
            continue
        return directory
    raise refused


def candidates() -> Iterator[Path]:
    """Where the directory may be, the best place first."""
    if chosen := os.environ.get(VARIABLE):
        yield Path(chosen)
    yield SHARED_MEMORY
    yield Path(tempfile.gettempdir())


def room_in(directory: Path) -> int:
    """Bytes that may still be written there."""
    free = os.statvfs(directory)
    return free.f_bavail * free.f_frsize


def started_at() -> str:
    """When this process started, in ticks since the machine did: with its id it names it."""
    return Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]


def remove_dead(base: Path) -> None:
    """Removes what servers have left that were killed."""
    for directory in base.glob(f"{PREFIX}{os.getuid()}-*"):
        with contextlib.suppress(OSError):
            lock = os.open(directory / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory)
            finally:
                os.close(lock)


def end() -> None:
    """Removes the directory; called in the supervisor when no other process is left."""
    if sharing.directory is not None and sharing.name == "supervisor":
        shutil.rmtree(sharing.directory, ignore_errors=True)
