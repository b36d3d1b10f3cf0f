"""Compares Hurricane with others under load, in interleaved runs. Usage is in README.md."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import experiments
import gate
import machine
import results
from contest import Contest
from generator import Generator, LoadError
from measuring import WrongAnswerError
from results import Comparison, Results
from rounds import Budget
from running import NotRunningError, Site
from scenarios import BY_NAME, SCENARIOS, Scenario
from servers import Places, Subject

ROOT = Path(__file__).parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))

# Where everything is written, if `--json` does not say.
RESULTS = TARGET / "loadtest.json"

# How long everything together may take, if `--minutes` does not say.
MINUTES = 15
# A scenario of the gate that seems lost is measured so often, for so long.
GATE_ATTEMPTS = 3
GATE_SECONDS = 20

# What ends a scenario or an experiment, and not the others.
FAILURES = (NotRunningError, WrongAnswerError, LoadError, RuntimeError)

# A single scenario takes no longer than this, however noisy the machine is.
SCENARIO_SECONDS_MAX = 150


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what was asked for, prints it, writes it, and judges it."""
    parser = _parser()
    args = parser.parse_args(arguments)
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2 and args.gate:
        _say("only one CPU is ours, where nothing can be measured: 300 requests each instead")
        args.smoke = True
    elif len(cpus) < 2 and not args.smoke:
        return _refuse("server and client need a CPU each, only one is ours")
    chosen = _chosen(parser, args)
    if args.connections:
        loads = [replace(each.load, connections=args.connections) for each in chosen]
        chosen = [replace(each, load=load) for each, load in zip(chosen, loads, strict=True)]
    if args.smoke:
        chosen = [replace(each, load=each.load.limited(300)) for each in chosen]
        args.rounds, args.repeats, args.seconds = 1, 0, 5.0
    if args.all and not args.json:
        args.json = RESULTS
    given = list(arguments if arguments is not None else sys.argv[1:])
    places = Places(args.scripts, args.legacy, args.native, args.example)
    with tempfile.TemporaryDirectory(prefix="hurricane-loadtest-") as scratch:
        contest = Contest(
            Site(places, (cpus[0],), Path(scratch)), Generator(args.generator, (cpus[-1],)),
            args.rounds, args.repeats, args.noise, args.seconds, warms=not args.smoke,
        )  # fmt: skip
        found = Results(datetime.now(UTC).isoformat(timespec="seconds"), given, {})
        failed = _run(chosen, contest, args, found)
        if args.gate and not args.smoke:
            failed += _judge(
                found, lambda each: contest.compare(each, _subjects(each, args), GATE_SECONDS)
            )
    return 1 if failed else 0


def _run(chosen: list[Scenario], contest: Contest, args: argparse.Namespace, found: Results) -> int:
    """The scenarios, then the experiments; says how many have failed."""
    asked = args.experiment or (list(experiments.BY_NAME) if args.all else [])
    budget = Budget(time.monotonic() + args.minutes * 60, len(chosen) + len(asked))
    failed = 0
    for scenario in chosen:
        seconds = min(budget.next_deadline() - time.monotonic(), SCENARIO_SECONDS_MAX)
        try:
            comparison = contest.compare(scenario, _subjects(scenario, args), seconds)
        except FAILURES as error:
            failed += _refuse(f"{scenario.name}: {error}")
            continue
        found.comparisons.append(comparison)
        _say(_smoke(comparison) if args.smoke else results.text(comparison))
        _write(found, contest.site.places, args.json)
    for name in asked:
        experiment = experiments.BY_NAME[name]
        try:
            found.experiments[name] = experiment(
                contest.site, contest.generator, budget.next_deadline()
            )
        except FAILURES as error:
            failed += _refuse(f"{name}: {error}")
            continue
        _say(f"\n{name}: {found.experiments[name]}")
        _write(found, contest.site.places, args.json)
    return failed


def _write(found: Results, places: Places, path: Path | None) -> None:
    """What is there so far, so that an accident later costs nothing."""
    if path:
        taken = {name for each in found.comparisons for name in each.entries}
        found.machine = machine.describe(places, {Subject.parse(name).kind for name in taken})
        found.write(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    known = ", ".join(BY_NAME)
    parser.add_argument("scenarios", nargs="*", help=f"of {known}; default: bare and both hellos")
    parser.add_argument("--all", action="store_true", help="every scenario, rival and experiment")
    parser.add_argument("--gate", action="store_true", help="what every change has to pass")
    parser.add_argument("--smoke", action="store_true", help="300 requests each, proves it works")
    parser.add_argument(
        "--rivals",
        type=lambda text: text.split(","),
        metavar="NAME,…",
        help="of those that a scenario has, or all (granian, where it takes part)",
    )
    parser.add_argument(
        "--ours",
        type=Subject.parse,
        default=Subject("hurricane"),
        metavar="SUBJECT",
        help="KIND[@BIN_DIRECTORY] [OPTION…]",
    )
    parser.add_argument(
        "--rival",
        type=Subject.parse,
        action="append",
        default=[],
        metavar="SUBJECT",
        help="likewise, one more rival; may be repeated",
    )
    parser.add_argument(
        "--experiment",
        action="append",
        choices=list(experiments.BY_NAME),
        help="beside the scenarios; may be repeated",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (5)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds more if noisy (5)")
    parser.add_argument("--seconds", type=float, default=1, help="per measurement (1)")
    parser.add_argument("--connections", type=int, help="in place of the scenario's own")
    parser.add_argument("--noise", type=float, default=0.03, help="foreign load of a quiet round")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"in all ({MINUTES})")
    parser.add_argument(
        "--json", type=Path, help=f"writes every measurement to this file (with --all {RESULTS})"
    )
    scripts = Path(sys.executable).parent
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for flag, default, what in (
        ("--generator", TARGET / "release/hurricane-loadtest", "the load generator"),
        ("--scripts", scripts, "directory of Hurricane's and the rivals' executables"),
        ("--legacy", TARGET / f"venv-legacy-{version}/bin", "likewise of Django-Hurricane"),
        ("--native", TARGET / "native/release", "likewise of the native servers"),
        ("--example", TARGET / "release/examples/native", "our own native server"),
    ):
        parser.add_argument(flag, type=Path, default=default, help=what)
    return parser  # fmt: skip


def _chosen(parser: argparse.ArgumentParser, args: argparse.Namespace) -> list[Scenario]:
    names = args.scenarios
    if args.all:
        names = list(BY_NAME)
    elif args.gate:
        names = list(gate.SCENARIOS)
        args.rounds, args.repeats, args.rivals = 3, 2, [gate.RIVAL]
        args.minutes = 3
    elif not names and not args.experiment:
        names = ["bare", "django", "django-default"]
    for name in names:
        if name not in BY_NAME:
            parser.error(f"{name}: the scenarios are {', '.join(BY_NAME)}")
    return [each for each in SCENARIOS if each.name in names]


def _subjects(scenario: Scenario, args: argparse.Namespace) -> list[Subject]:
    """We first, then the rivals that take part."""
    wanted = list(scenario.rivals)
    if args.rivals and "all" not in args.rivals:
        wanted = [name for name in args.rivals if name in scenario.rivals]
    elif not args.rivals and not args.all and "granian" in scenario.rivals:
        wanted = ["granian"]
    if args.rival:
        wanted = []
    return [args.ours, *map(Subject, wanted), *args.rival]


def _smoke(comparison: Comparison) -> str:
    answered = {name: cell.requests for name, cell in comparison.rounds[0].cells.items()}
    return f"{comparison.scenario}: answered {answered}"


def _judge(found: Results, measure_again: Callable[[Scenario], Comparison]) -> int:
    """Whatever seems lost is measured again, and judged by all rounds together."""
    committed = gate.committed_ratios()
    if missing := [why for each in found.comparisons for why in each.missing.values()]:
        return _refuse("; ".join(missing))
    for attempt in range(GATE_ATTEMPTS):
        judgements = gate.judge(found.comparisons, committed)
        _say("\n" + "\n".join(map(str, judgements)))
        lost = [each.scenario for each in judgements if each.is_gross_loss]
        if not lost:
            return 0
        if attempt + 1 < GATE_ATTEMPTS:
            for comparison in found.comparisons:
                if comparison.scenario in lost:
                    comparison.rounds += measure_again(comparison.table_entry).rounds
    return _refuse(
        "a ratio is worse than the committed one by more than a quarter; run "
        "`cargo xtask loadtest --gate` on a quiet machine, and find what costs so much"
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _refuse(text: str) -> int:
    sys.stderr.write(f"{text}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
