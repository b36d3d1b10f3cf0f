"""Renders what a comparison has found into docs/performance.md and the README, with plots."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import page
import plots
from results import Results
from run import RESULTS

ROOT = Path(__file__).parent.parent
BASELINE = ROOT / "benches/baseline.json"
PAGE = ROOT / "docs/performance.md"
PLOTS = ROOT / "docs/performance"
README = ROOT / "README.md"
FILES = ROOT / "docs/files.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the page and its plots."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--json", type=Path, default=RESULTS, help="what `loadtest --json` wrote")
    parser.add_argument("--files", action="store_true", help="only the table of docs/files.md")
    args = parser.parse_args(arguments)
    if not args.json.is_file():
        parser.error(f"{args.json} does not exist; `cargo xtask loadtest --all` writes one")
    found = Results.read(args.json)
    if any(each.scenario.startswith("files-") for each in found.comparisons):
        FILES.write_text(page.marked(FILES.read_text(), page.files(found.comparisons)))
    if args.files:
        return 0
    PLOTS.mkdir(parents=True, exist_ok=True)
    for old in PLOTS.glob("*.svg"):
        old.unlink()
    PAGE.write_text(page.text(found, BASELINE.read_text()))
    draw(found)
    README.write_text(page.marked(README.read_text(), page.extract(found.comparisons)))
    sys.stdout.write(f"{PAGE.relative_to(ROOT)} and {len(list(PLOTS.iterdir()))} plots\n")
    return 0


def draw(found: Results) -> None:
    """All plots that the page shows."""
    if found.comparisons:
        plots.ratios(found.comparisons, PLOTS / "ratios.svg")
    for comparison in found.comparisons:
        plots.cells(comparison, PLOTS / f"{comparison.scenario}.svg")
    for name, (label, values) in _bars(found.experiments).items():
        plots.bars(values, label, PLOTS / f"{name}.svg")


def _bars(experiments: dict[str, Any]) -> dict[str, tuple[str, dict[str, list[float]]]]:
    """What experiments have found that is drawn as bars."""
    drawn = {}
    if start := experiments.get("start"):
        drawn["start"] = ("seconds from exec to the first 200", start)
    if memory := experiments.get("memory"):
        seconds = {name: [sizes["second"]] for name, sizes in memory.items()}
        drawn["memory"] = ("MiB (PSS) that a second worker adds", seconds)
    if client := experiments.get("client"):
        costs = {name: [row["cpu_us"]] for name, row in client.items()}
        drawn["client"] = ("CPU µs per request of the client", costs)
    return drawn


if __name__ == "__main__":
    sys.exit(main())
