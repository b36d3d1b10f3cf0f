"""The plots of docs/performance.md, as SVG that is the same for the same numbers."""

from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import pyplot as plt

from results import Comparison
from rounds import Spread
from scenarios import Metric

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from measuring import Measurement

plt.switch_backend("svg")

OURS, THEIRS, BEST = "#c0392b", "#8fa3b5", "#34506b"

plt.rcParams.update(
    {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "hurricane",
    }
)


def ratios(comparisons: list[Comparison], path: Path) -> None:
    """For each scenario: we as a share of the best rival and of granian, with the spread."""
    figure, axes = plt.subplots(figsize=(8, 0.32 * len(comparisons) + 1.2))
    for row, comparison in enumerate(reversed(comparisons)):
        best = comparison.best_rival()
        for rival in dict.fromkeys(("granian", best)):
            if rival not in comparison.entries or rival is None:
                continue
            spread = comparison.ratio(rival)
            color = BEST if rival == best else THEIRS
            axes.plot((spread.low, spread.high), (row, row), color=color, linewidth=1.5)
            axes.plot(spread.median, row, "o", color=color, markersize=5)
            if rival == best:
                axes.annotate(
                    rival, (spread.high, row), (5, 0), textcoords="offset points", va="center"
                )
    axes.axvline(1, color=OURS, linewidth=1)
    axes.set_xscale("log")
    ticks = (0.05, 0.1, 0.2, 0.5, 1, 2, 5)
    axes.set_xticks(ticks, map(str, ticks))
    axes.minorticks_off()
    axes.set_yticks(
        range(len(comparisons)),
        [_label(each) for each in reversed(comparisons)],
    )
    axes.set_xlabel(
        "CPU per request or what is named, as a share of the best rival (dark), of granian (light)"
    )
    _save(figure, path)


def _label(comparison: Comparison) -> str:
    metric = comparison.table_entry.metric
    return comparison.scenario + ("" if metric is Metric.CPU else f" ({metric.value})")


def cells(comparison: Comparison, path: Path) -> None:
    """CPU and p99 of every server in a scenario."""
    names = sorted(comparison.entries, key=comparison.value, reverse=True)
    figure, axes = plt.subplots(1, 2, figsize=(8, 0.28 * len(names) + 0.9))
    panels: tuple[tuple[str, Callable[[Measurement], float]], ...] = (
        ("CPU µs per request", lambda cell: cell.cpu_us),
        ("p99, ms", lambda cell: cell.p99_us / 1000),
    )
    for panel, (title, value) in zip(axes, panels, strict=True):
        spreads = [
            Spread.of(value(each.cells[name]) for each in comparison.rounds) for name in names
        ]
        _bars(panel, names, spreads, comparison.ours)
        panel.set_xlabel(title)
    axes[1].set_yticklabels([])
    _save(figure, path)


def bars(values: dict[str, list[float]], label: str, path: Path) -> None:
    """One bar for each name, with its spread."""
    names = sorted(values, key=lambda name: Spread.of(values[name]).median, reverse=True)
    figure, axes = plt.subplots(figsize=(8, 0.28 * len(names) + 0.9))
    _bars(axes, names, [Spread.of(values[name]) for name in names], "hurricane")
    axes.set_xlabel(label)
    _save(figure, path)


def _bars(axes: "Axes", names: list[str], spreads: list[Spread], ours: str) -> None:
    medians = [each.median for each in spreads]
    errors = [
        [each.median - each.low for each in spreads],
        [each.high - each.median for each in spreads],
    ]
    colors = [OURS if name == ours else THEIRS for name in names]
    axes.barh(names, medians, xerr=errors, color=colors, height=0.7, error_kw={"linewidth": 0.8})
    for row, spread in enumerate(spreads):
        axes.annotate(
            f"{spread.median:,.3g}" if spread.median < 100 else f"{spread.median:,.0f}",
            (spread.high, row), (4, 0), textcoords="offset points", va="center", fontsize=8,
        )  # fmt: skip
    axes.margins(x=0.15)


def _save(figure: "Figure", path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
