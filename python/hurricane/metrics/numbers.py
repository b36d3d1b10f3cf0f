"""Numbers behind the metrics of a project that are those of all workers.

While the server runs they are kept as ``prometheus_client`` keeps its values, under a name that no
page shows; before, and in tests and management commands, they are plain numbers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hurricane.metrics import sharing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The family that holds all of them.
HIDDEN = "hurricane_stored"


class Plain:
    """A number of this process alone."""

    def __init__(self) -> None:
        self.value = 0.0
        self.timestamp = 0.0
        self.is_set = False

    def inc(self, amount: float) -> None:
        """Adds to it."""
        self.value += amount
        self.is_set = True

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Replaces it."""
        self.value, self.timestamp = value, timestamp or 0.0
        self.is_set = True

    def get(self) -> float:
        """What it is."""
        return self.value


class Number:
    """One number; ``part`` tells several of a metric apart."""

    kind = "counter"
    options: dict[str, str] = {}  # noqa: RUF012 - nobody changes it

    def __init__(self, code: str, part: str) -> None:
        self.labels = (code, part)
        self.held: Any = Plain()
        sharing.holders.append(self.share)

    def share(self) -> None:
        """Shares it if there is anything to share."""
        if isinstance(self.held, Plain) and self.held.is_set:
            self.own()

    def own(self) -> Any:  # noqa: ANN401 - a class that the library makes
        """The value of this process, from the moment that the server starts a shared one."""
        value_class = sharing.sharing.value_class
        if isinstance(self.held, Plain) and value_class is not None:
            plain, names = self.held, ("code", "part")
            labels = (names, self.labels)
            self.held = value_class(self.kind, HIDDEN, HIDDEN, *labels, "", **self.options)
            self.carry_over(plain)
        return self.held

    def carry_over(self, plain: Plain) -> None:
        """Takes what it was before it was shared."""
        if plain.value:
            self.held.inc(plain.value)

    def everywhere(self) -> list[tuple[float, float]]:
        """The number and when it was set, in each process of the server."""
        if sharing.sharing.directory is None:
            return [(self.held.value, self.held.timestamp)]
        from prometheus_client.mmap_dict import mmap_key

        key = mmap_key(HIDDEN, HIDDEN, ["code", "part"], list(self.labels), "")
        prefix = "_".join([self.kind, *self.options.values()])
        return [
            (value, timestamp)
            for path in sharing.sharing.directory.glob(f"{prefix}_*.db")
            for found, value, timestamp in read(path)
            if found == key
        ]


def read(path: Path) -> Iterator[tuple[str, float, float]]:
    """Keys, values and times of a file."""
    from prometheus_client.mmap_dict import MmapedDict

    # One that is being made is empty.
    if path.stat().st_size:
        for found in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
            yield found[:3]


class Sum(Number):
    """What all processes have added."""

    def add(self, amount: float) -> None:
        """Adds to it."""
        self.own().inc(amount)

    def total(self) -> float:
        """The sum over all processes."""
        return sum(value for value, _ in self.everywhere())


class Latest(Number):
    """What any process has set last."""

    kind = "gauge"
    options = {"multiprocess_mode": "mostrecent"}  # noqa: RUF012 - nobody changes it

    def carry_over(self, plain: Plain) -> None:
        """Takes what it was before it was shared."""
        if plain.timestamp:
            self.held.set(plain.value, plain.timestamp)

    def set(self, value: float) -> float:
        """Replaces it; returns when that was."""
        now = time.time()
        self.own().set(value, now)
        return now

    def latest(self) -> tuple[float, float]:
        """The number that was set last, and when; never: 0."""
        return max(self.everywhere(), key=lambda found: found[1], default=(0.0, 0.0))
