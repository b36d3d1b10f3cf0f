"""Interleaved rounds: A B C, A B C, and again when others have used the machine meanwhile.

Whatever slows the machine down for a while slows all of a round, so ratios are formed inside a
round, and what is reported is the median of the rounds.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Generic, Protocol, TypeVar


class Noisy(Protocol):
    """A measurement that knows what share of the CPUs others have used meanwhile."""

    @property
    def foreign(self) -> float:
        """Between 0 and 1."""


M = TypeVar("M", bound=Noisy)


@dataclass(frozen=True)
class Round(Generic[M]):
    """One measurement of each server, one after the other."""

    cells: Mapping[str, M]

    @property
    def foreign(self) -> float:
        """The worst of the cells."""
        return max(cell.foreign for cell in self.cells.values())


@dataclass(frozen=True)
class Policy:
    """How many rounds count, and how many more may be run for quieter ones."""

    rounds: int
    repeats: int
    # Foreign load of a round that needs no repetition.
    noise: float
    # When no further round begins, as `clock` tells it. One is always run.
    deadline: float
    clock: Callable[[], float] = time.monotonic


def interleave(names: Sequence[str], measure: Callable[[str], M], policy: Policy) -> list[Round[M]]:
    """The quietest rounds, in the order in which they ran."""
    ran: list[Round[M]] = []
    longest = 0.0
    while len(ran) < policy.rounds + policy.repeats:
        began = policy.clock()
        if ran and began + longest > policy.deadline:
            break
        ran.append(Round({name: measure(name) for name in names}))
        longest = max(longest, policy.clock() - began)
        if sum(each.foreign <= policy.noise for each in ran) >= policy.rounds:
            break
    quietest = sorted(ran, key=lambda each: each.foreign)[: policy.rounds]
    return [each for each in ran if any(each is kept for kept in quietest)]


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Over at least one value."""
        ordered = sorted(values)
        return cls(median(ordered), ordered[0], ordered[-1])

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def ratio(
    rounds: Iterable[Round[M]], ours: str, theirs: str, value: Callable[[M], float]
) -> Spread:
    """What we need as a share of what they need, formed inside each round."""
    return Spread.of(
        value(each.cells[ours]) / max(value(each.cells[theirs]), 1e-9) for each in rounds
    )


def typical(rounds: Iterable[Round[M]], name: str, value: Callable[[M], float]) -> float:
    """The median over the rounds."""
    return median(value(each.cells[name]) for each in rounds)


@dataclass
class Budget:
    """A time that a number of tasks share: what one leaves, the others get."""

    end: float
    tasks: int
    clock: Callable[[], float] = time.monotonic

    def next_deadline(self) -> float:
        """When the next task is to be done."""
        now = self.clock()
        share = max(self.end - now, 0) / max(self.tasks, 1)
        self.tasks -= 1
        return now + share
