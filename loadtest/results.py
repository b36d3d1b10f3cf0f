"""What a run has found, as JSON and as tables."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from measuring import Measurement
from rounds import Round, Spread, ratio, typical
from scenarios import BY_NAME, Metric, Scenario

# A loop that is no server is something to be measured against, and no rival.
FLOORS = ("ring",)

VALUES: dict[Metric, Callable[[Measurement], float]] = {
    Metric.CPU: lambda cell: cell.cpu_us,
    Metric.P99: lambda cell: cell.p99_us,
}


@dataclass(frozen=True)
class Entry:
    """A server that took part."""

    command: list[str]
    # From exec to the first 200.
    start_seconds: float


@dataclass
class Comparison:
    """A scenario, measured."""

    scenario: str
    ours: str
    entries: dict[str, Entry]
    rounds: list[Round[Measurement]]
    # Servers that are not here, and why.
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def table_entry(self) -> Scenario:
        """The scenario's line in the table."""
        return BY_NAME[self.scenario]

    @property
    def rivals(self) -> list[str]:
        """Everyone but us."""
        return [name for name in self.entries if name != self.ours]

    @property
    def foreign(self) -> float:
        """The worst of the rounds."""
        return max(each.foreign for each in self.rounds)

    def value(self, name: str) -> float:
        """What decides, over the rounds."""
        return self.median(name, VALUES[self.table_entry.metric])

    def median(self, name: str, value: Callable[[Measurement], float]) -> float:
        """Of a server, over the rounds."""
        return typical(self.rounds, name, value)

    def ratio(self, rival: str) -> Spread:
        """We as a share of a rival; below 1 we need less."""
        return ratio(self.rounds, self.ours, rival, VALUES[self.table_entry.metric])

    def best_rival(self) -> str | None:
        """Who needs the least, of those who are servers."""
        return min(
            (name for name in self.rivals if name not in FLOORS), key=self.value, default=None
        )


@dataclass
class Results:
    """Everything of a run."""

    began: str
    arguments: list[str]
    machine: dict[str, Any]
    comparisons: list[Comparison] = field(default_factory=list)
    # What is no comparison of servers under load: by name, as the experiment tells it.
    experiments: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Results":
        """From JSON."""
        said = json.loads(path.read_text())
        comparisons = [
            Comparison(
                scenario=each["scenario"],
                ours=each["ours"],
                entries={name: Entry(**entry) for name, entry in each["entries"].items()},
                rounds=[
                    Round({name: Measurement(**cell) for name, cell in row["cells"].items()})
                    for row in each["rounds"]
                ],
                missing=each["missing"],
            )
            for each in said.pop("comparisons")
        ]
        return cls(comparisons=comparisons, **said)


HEADER = ("CPU µs", "switches", "requests/s", "p50 µs", "p99 µs", "p99.9 µs", "PSS MiB", "start s")


def cells(comparison: Comparison, name: str) -> list[str]:
    """A line of a table, as `HEADER` says."""

    def of(value: Callable[[Measurement], float]) -> float:
        return comparison.median(name, value)

    return [
        f"{of(lambda cell: cell.cpu_us):.1f}",
        f"{of(lambda cell: cell.switches):.2f}",
        f"{of(lambda cell: cell.requests_per_second):,.0f}",
        f"{of(lambda cell: cell.p50_us):,.0f}",
        f"{of(lambda cell: cell.p99_us):,.0f}",
        f"{of(lambda cell: cell.p999_us):,.0f}",
        f"{of(lambda cell: cell.pss_mib):.0f}",
        f"{comparison.entries[name].start_seconds:.2f}",
    ]


def text(comparison: Comparison) -> str:
    """For the terminal."""
    scenario = comparison.table_entry
    lines = [
        f"\n{scenario.name}: {scenario.title}",
        f"{len(comparison.rounds)} rounds, foreign load at most {comparison.foreign:.1%}",
        f"{'':20}" + "".join(f"{title:>12}" for title in HEADER),
    ]
    lines += [
        f"{name:20}" + "".join(f"{cell:>12}" for cell in cells(comparison, name))
        for name in comparison.entries
    ]
    for rival in comparison.rivals:
        best = ", the best rival" if rival == comparison.best_rival() else ""
        ratio_text = f"{scenario.metric.value}, {comparison.ours} / {rival}"
        lines.append(f"{ratio_text}: {comparison.ratio(rival)}{best}")
    lines += [f"{name}: {why}" for name, why in comparison.missing.items()]
    return "\n".join(lines)
