"""The text of docs/performance.md, and the table of the README."""

import json
import re
import shlex
import textwrap
from collections.abc import Iterator
from typing import Any

from results import FLOORS, HEADER, Comparison, Results, cells
from rounds import Spread
from scenarios import Metric
from servers import KINDS

README_SCENARIOS = (
    "bare", "django", "django-default", "json", "sqlite", "template", "upload", "streaming",
    "static", "native", "native-pipelined",
)  # fmt: skip
OPENING = "<!-- measured: `cargo xtask report` writes this table -->"
CLOSING = "<!-- measured -->"

MISSED = "**missed**"

# A p99 that is longer than the best rival's by less is not called a loss: tails vary.
TAIL_BEARABLE = 1.5

# A round with more foreign load than this says little about anything but ratios of CPU time.
NOISE_BEARABLE = 0.1


def text(found: Results, baseline: str) -> str:
    """The page; the baseline is that of `cargo xtask bench`."""
    return "\n".join(_lines(found, baseline)) + "\n"


def _lines(found: Results, baseline: str) -> Iterator[str]:
    yield from _introduction(found)
    yield from _summary(found.comparisons)
    yield from _losses(found)
    yield "\n## Scenarios\n"
    for comparison in found.comparisons:
        yield from _scenario(comparison)
    yield from _experiments(found.experiments)
    yield from _scoreboard(baseline)
    yield from _client_and_restarts(found.experiments)
    yield from _settings(found)


def _introduction(found: Results) -> Iterator[str]:
    machine = found.machine
    foreign = max((each.foreign for each in found.comparisons), default=0)
    yield "# Performance\n"
    yield _paragraph(
        "Made by `cargo xtask report`; do not edit it. How it is measured:",
        "[loadtest/README.md](../loadtest/README.md).",
    )
    yield _paragraph(
        f"Measured {found.began} at `{machine['commit']}` on {machine['cpus']} CPUs",
        f"({machine['cpu']}), Linux {machine['kernel']}, CPython {machine['python']}, Django",
        f"{machine['django']}, {machine['rust']}:",
    )
    yield f"```sh\ncargo xtask loadtest {shlex.join(found.arguments)}\ncargo xtask report\n```\n"
    yield _paragraph(
        "All servers of a scenario run with one worker on one CPU, the load comes from another.",
        "Rounds go A B C, A B C; a ratio is formed inside a round, and what stands here is the",
        "median with the lowest and the highest of the rounds. Latencies are corrected for",
        "coordinated omission.",
    )
    if foreign > NOISE_BEARABLE:
        yield _paragraph(
            f"**Others used this machine meanwhile (up to {foreign:.0%} of it in a round): ratios",
            "of CPU time are of some use, latencies and rates of none.**",
        )


def _paragraph(*parts: str) -> str:
    return (
        textwrap.fill(" ".join(parts), 100, break_long_words=False, break_on_hyphens=False) + "\n"
    )


def _summary(comparisons: list[Comparison]) -> Iterator[str]:
    yield "\n## In short\n"
    yield "Below 1 Hurricane needs less.\n"
    yield "![Ratios](performance/ratios.svg)\n"
    titles = ("scenario", "compared", "best rival", "to the best", "to granian", "goal")
    yield f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}"
    for each in comparisons:
        best = each.best_rival()
        granian = str(each.ratio("granian")) if "granian" in each.entries else ""
        goals = ", ".join(f"{goal}: {verdict}" for goal, verdict in _goals(each))
        line = (
            f"[{each.scenario}](#{each.scenario})",
            each.table_entry.metric.value,
            best or "",
            str(each.ratio(best)) if best else "",
            granian,
            goals,
        )
        yield f"| {' | '.join(line)} |"


def _goals(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """What was aimed at, and whether it was reached."""
    scenario = comparison.table_entry
    for rival, most in scenario.goals:
        if rival in comparison.entries:
            ratio = comparison.ratio(rival)
            verdict = "reached" if ratio.median <= most else f"{MISSED}, it is {ratio}"
            yield f"{most} of {rival}", verdict
    if scenario.p99_ms_goal:
        p99_ms = comparison.median(comparison.ours, lambda cell: cell.p99_us) / 1000
        verdict = "reached" if p99_ms <= scenario.p99_ms_goal else f"{MISSED}, it is {p99_ms:.1f}"
        yield f"p99 of {scenario.p99_ms_goal:g} ms", verdict


def _losses(found: Results) -> Iterator[str]:
    yield "\n## Where we lose\n"
    lines = [line for each in found.comparisons for line in _lost(each)]
    lines += _slower_start(found.experiments.get("start", {}))
    lines += [
        f"- **{each.scenario}**: the goal of {goal} is {verdict}."
        for each in found.comparisons
        for goal, verdict in _goals(each)
        if verdict.startswith(MISSED)
    ]
    yield "\n".join(lines or ["Nowhere, in this run."])


def _lost(comparison: Comparison) -> Iterator[str]:
    """Rivals that need less, and by how much the quickest of them has the shorter tail."""
    for rival in comparison.rivals:
        spread = comparison.ratio(rival)
        if spread.median > 1 and rival not in FLOORS:
            sure = "in every round" if spread.low > 1 else "not in every round"
            metric = comparison.table_entry.metric.value
            yield (
                f"- **{comparison.scenario}**: {rival} needs less ({metric}: we need {spread} "
                f"times as much), {sure}."
            )
    tails_ms = {
        name: comparison.median(name, lambda cell: cell.p99_us) / 1000
        for name in comparison.entries
        if name not in FLOORS
    }
    ours_ms, best = tails_ms[comparison.ours], min(tails_ms, key=tails_ms.__getitem__)
    if comparison.table_entry.metric is Metric.CPU and ours_ms > tails_ms[best] * TAIL_BEARABLE:
        yield (
            f"- **{comparison.scenario}**: {best} has a p99 of {tails_ms[best]:.1f} ms, "
            f"we one of {ours_ms:.1f} ms."
        )


def _slower_start(seconds: dict[str, list[float]]) -> Iterator[str]:
    medians = {name: Spread.of(each).median for name, each in seconds.items()}
    best = min(medians, key=medians.__getitem__, default="hurricane")
    if best != "hurricane":
        yield (
            f"- **start**: {best} answers after {medians[best]:.2f} s, "
            f"we after {medians['hurricane']:.2f} s."
        )


def _scenario(comparison: Comparison) -> Iterator[str]:
    scenario = comparison.table_entry
    yield f"### {scenario.name}\n"
    judged = "What is compared is the p99." if scenario.metric is Metric.P99 else ""
    served = f"{scenario.title}: {scenario.application.value}, {_load(comparison)}."
    yield _paragraph(served, scenario.note, judged)
    yield f"![{scenario.name}](performance/{scenario.name}.svg)\n"
    yield f"| server | {' | '.join(HEADER)} | Hurricane / it |"
    yield f"|---|{'---:|' * len(HEADER)}---|"
    for name in sorted(comparison.entries, key=comparison.value):
        ratio = "" if name == comparison.ours else str(comparison.ratio(name))
        yield f"| {name} | {' | '.join(cells(comparison, name))} | {ratio} |"
    slow = [
        f"{name} {cell.slow_answered} of {cell.slow_answered + cell.slow_failed}"
        for name, cell in comparison.rounds[-1].cells.items()
        if cell.slow_answered + cell.slow_failed
    ]
    if slow:
        yield f"\nSlow clients that were answered in the last round: {', '.join(slow)}."
    missing = "; ".join(comparison.missing.values())
    yield ""
    yield _paragraph(
        f"{len(comparison.rounds)} rounds, foreign load at most {comparison.foreign:.1%}.",
        f"Missing: {missing}." if missing else "",
    )


def _load(comparison: Comparison) -> str:
    load = comparison.table_entry.load
    words = [f"{load.connections} connections"]
    if load.rate:
        words.append(f"{load.rate:,.0f} requests a second")
    if load.pipeline > 1:
        words.append(f"{load.pipeline} requests at a time")
    if load.churn:
        words.append("a connection for each request")
    if load.read_rate:
        words.append(f"each reads {load.read_rate >> 10} KiB a second")
    if load.body:
        words.append(f"bodies of {load.body >> 10} KiB")
    return ", ".join(words)


def _experiments(experiments: dict[str, Any]) -> Iterator[str]:
    if start := experiments.get("start"):
        yield "## Start\n"
        yield "Seconds from exec to the first 200 of Django with the default middleware.\n"
        yield "![Start](performance/start.svg)\n"
        yield "| server | seconds |\n|---|---|"
        for name, seconds in start.items():
            yield f"| {name} | {Spread.of(seconds)} |"
    if memory := experiments.get("memory"):
        yield "\n## Memory\n"
        yield _paragraph(
            "MiB (PSS) over all processes of a server, Django with the default middleware. The",
            "goal is that a second worker of ours adds at most 20.",
        )
        yield "![Memory](performance/memory.svg)\n"
        yield "| server | one worker | two workers | the second adds |\n|---|---|---|---|"
        for name, sizes in memory.items():
            yield f"| {name} | {sizes['one']:.1f} | {sizes['two']:.1f} | {sizes['second']:.1f} |"
    if stall := experiments.get("stall"):
        yield "\n## A worker that stands still\n"
        yield _paragraph(
            "Seconds from when one of two workers is stopped (SIGSTOP) until `/ready` fails. The",
            "others have no probe that tells: new connections that reach such a worker hang.",
        )
        yield "| `--heartbeat-timeout` | seconds |\n|---|---|"
        for timeout, seconds in stall.items():
            yield f"| {timeout} s | {seconds:.2f} |"
    if scaled := experiments.get("scale"):
        yield from _scale(scaled)


def _scale(scaled: dict[str, Any]) -> Iterator[str]:
    yield "\n## More workers\n"
    yield _paragraph(
        f"The template page of 20 KiB on 1 to {scaled['cpus']} workers, a CPU for each and 64",
        f"connections for all, {scaled['rounds']} rounds: requests a second, how many times those",
        "of one worker that is, and CPU per request likewise. The client shares the last CPU with",
        "the last worker: it takes a hundredth of what the page takes. A hello would need as many",
        "CPUs for its clients as for its server.",
    )
    yield "| server | workers | requests/s | times one | CPU µs | times one | client's CPU µs |"
    yield "|---|---|---|---|---|---|---|"
    for kind, counts in scaled["servers"].items():
        for workers, row in counts.items():
            yield (
                f"| {kind} | {workers} | {row['requests_per_second']:,.0f} | "
                f"{Spread(*row['times_one'])} | {row['cpu_us']:,.0f} | "
                f"{Spread(*row['cpu_times_one'])} | {row['client_cpu_us']:.0f} |"
            )


def _client_and_restarts(experiments: dict[str, Any]) -> Iterator[str]:
    if client := experiments.get("client"):
        yield "\n## What the load generator costs\n"
        yield "CPU per request of the client, in rounds, all against the same server (ring).\n"
        yield "![Client](performance/client.svg)\n"
        last = list(client)[-1]
        yield f"| client | CPU µs | requests/s | share of {last} |\n|---|---|---|---|"
        for name, row in client.items():
            yield (
                f"| {name} | {row['cpu_us']:.2f} | {row['requests_per_second']:,.0f} | "
                f"{row['share_of_wrk']:.2f} |"
            )
    if counts := experiments.get("threads"):
        yield from _threads(counts)
    if rolling := experiments.get("rolling"):
        yield "\n## Rolling restarts\n"
        yield "Requests that were lost while pods were replaced (`loadtest/rolling.py`).\n"
        yield rolling["table"]


def _threads(counts: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield "\n## More threads\n"
    yield _paragraph(
        "Django hello without middleware on one worker, 64 connections, in the same rounds as",
        "granian; then its p99 at 500 requests a second, alone, and how many times that it is",
        "while one other thread of the worker, or each of them, is in a view that waits for a",
        "second. The goals: below 0.3 context switches a request, and beside one such view at",
        "most three times.",
    )
    yield "| threads | CPU µs | of granian | switches | p99 µs alone | beside one | beside all |"
    yield "|---|---|---|---|---|---|---|"
    for count, row in counts.items():
        alone, one, others = "", "", ""
        if "one" in row:
            alone, one, others = (
                f"{row['p99_alone_us']:,.0f}", str(Spread(*row["one"])), str(Spread(*row["all"]))
            )  # fmt: skip
        yield (
            f"| {count} | {row['cpu_us']:.1f} | {Spread(*row['share_of_rival'])} | "
            f"{row['switches']:.2f} | {alone} | {one} | {others} |"
        )


def _scoreboard(baseline: str) -> Iterator[str]:
    """From the counts that every change is held to: they do not depend on this run."""
    counted = re.compile(r"scoreboard_(\d+)")
    for machine, counts in json.loads(baseline).items():
        sizes = {
            int(found[1]): count
            for name, count in counts["instructions"].items()
            if (found := counted.fullmatch(name))
        }
        if sizes:
            yield "\n## What a probe pays for more workers\n"
            yield _paragraph(
                f"Instructions ({machine}) of reading all slots of the scoreboard, from",
                "[benches/baseline.json](../benches/baseline.json); a nanosecond does about",
                "three.",
            )
            yield "| slots | instructions |\n|---|---|"
            for slots, count in sorted(sizes.items()):
                yield f"| {slots:,} | {count:,} |"


def _settings(found: Results) -> Iterator[str]:
    yield "\n## Versions and command lines\n"
    yield "SCRATCH is a directory for what servers write, PORT a free port.\n"
    yield "| server | version | why it runs so |\n|---|---|---|"
    for kind, version in found.machine["versions"].items():
        yield f"| {kind} | {version} | {KINDS[kind].why} |"
    for comparison in found.comparisons:
        yield f"\n{comparison.scenario}:\n\n```sh"
        for entry in comparison.entries.values():
            yield shlex.join(entry.command)
        yield "```"


def extract(comparisons: list[Comparison]) -> str:
    """The README's table."""
    return "\n".join(_rows(comparisons))


def _rows(comparisons: list[Comparison]) -> Iterator[str]:
    yield "| | Hurricane / granian | Hurricane / best rival | |"
    yield "|---|---|---|---|"
    for each in comparisons:
        if each.scenario in README_SCENARIOS:
            best = each.best_rival()
            granian = str(each.ratio("granian")) if "granian" in each.entries else ""
            to_best = str(each.ratio(best)) if best else ""
            yield f"| {each.table_entry.title} | {granian} | {to_best} | {best} |"
    foreign = max((each.foreign for each in comparisons), default=0)
    if foreign > NOISE_BEARABLE:
        yield f"\nOthers used up to {foreign:.0%} of the machine meanwhile: the figures are rough."


def files(comparisons: list[Comparison]) -> str:
    """The table of docs/files.md."""
    return "\n".join(_files(comparisons))


def _files(comparisons: list[Comparison]) -> Iterator[str]:
    rivals = ("nginx", "granian", "django-hurricane")
    yield f"| | CPU µs | GB per CPU second | {' | '.join(f'of {name}' for name in rivals)} | |"
    yield f"|---|---:|---:|{'---|' * len(rivals)}---|"
    measured = [each for each in comparisons if each.scenario.startswith("files-")]
    for each in measured:
        scenario, cpu_us = each.table_entry, each.value(each.ours)
        # A byte a microsecond is a megabyte a second.
        rate = (scenario.body_bytes or 0) / cpu_us / 1000
        ratios = [str(each.ratio(name)) if name in each.entries else "" for name in rivals]
        verdict = ", ".join(f"{word} of {goal}" for goal, word in _goals(each))
        line = (scenario.title, f"{cpu_us:,.1f}", f"{rate:.2f}", *ratios, verdict)
        yield f"| {' | '.join(line)} |"
    rounds = min((len(each.rounds) for each in measured), default=0)
    foreign = max((each.foreign for each in measured), default=0)
    yield f"\nAt least {rounds} rounds each, foreign load at most {foreign:.1%}."


def marked(readme: str, table: str) -> str:
    """A page with a table between its marks."""
    before, opening, rest = readme.partition(OPENING)
    _, closing, after = rest.partition(CLOSING)
    if not closing:
        raise ValueError("the page has no marks for the table")
    return f"{before}{opening}\n{table}\n{closing}{after}"
