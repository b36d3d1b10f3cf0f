"""The comparison that every change has to pass: a few ratios, and those that are committed.

A ratio inside a round depends little on the machine and on who else uses it. It still moves by some
percent, so only a gross loss fails: a median that is worse than the committed one by a quarter.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from results import Comparison

COMMITTED = Path(__file__).parent / "ratios.json"
SCENARIOS = ("bare", "django", "static", "probes")
RIVAL = "granian"
WORSE_MAX = 1.25


@dataclass(frozen=True)
class Judgement:
    """A ratio beside the committed one."""

    scenario: str
    measured: float
    committed: float

    @property
    def is_gross_loss(self) -> bool:
        """Whether a change has to explain itself."""
        return self.measured > self.committed * WORSE_MAX

    def __str__(self) -> str:
        verdict = "a gross loss" if self.is_gross_loss else "passed"
        return (
            f"{self.scenario:10} hurricane / {RIVAL} {self.measured:.3f}, "
            f"committed {self.committed:.3f}: {verdict}"
        )


def judge(comparisons: list[Comparison], committed: dict[str, float]) -> list[Judgement]:
    """One for each comparison that has a committed ratio."""
    return [
        Judgement(each.scenario, each.ratio(RIVAL).median, committed[each.scenario])
        for each in comparisons
        if each.scenario in committed
    ]


def committed_ratios() -> dict[str, float]:
    """By scenario."""
    ratios: dict[str, float] = json.loads(COMMITTED.read_text())
    return ratios
