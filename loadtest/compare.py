"""Compares what two servers cost per request, in one interleaved run.

Both servers run at the same time on one CPU and are loaded in turns from another; each round gives
one ratio, so that whatever slows the machine down for a while slows both. Usage is in README.md.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from processes import cpu_busy_seconds
from servers import Server, Subject

ROOT = Path(__file__).parent.parent

# Scenario, and the module in applications/ that it serves.
SCENARIOS = {
    "bare": "bare",
    "django": "django_bare",
    "django-default": "django_default",
}


@dataclass(frozen=True)
class Load:
    """What one measurement sends, and where both sides run."""

    generator: Path
    server_cpu: int
    client_cpu: int
    connections: int
    seconds: float
    requests: int | None = None


@dataclass(frozen=True)
class Measurement:
    """One server under load for a few seconds."""

    requests: int
    errors: int
    requests_per_second: float
    cpu_us: float
    switches: float
    p50_us: int
    p99_us: int
    # Share of both CPUs that neither server nor client has used.
    foreign: float


@dataclass(frozen=True)
class Round:
    """Both servers, one after the other."""

    first: Measurement
    second: Measurement

    @property
    def ratio(self) -> float:
        """CPU per request of the first server as a share of the second's."""
        return self.first.cpu_us / self.second.cpu_us

    @property
    def foreign(self) -> float:
        """The worse of both."""
        return max(self.first.foreign, self.second.foreign)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the scenarios that were asked for and prints a table and a ratio of each."""
    parser = _parser()
    args = parser.parse_args(arguments)
    cpus = sorted(os.sched_getaffinity(0))[:2]
    load = Load(args.generator, cpus[0], cpus[-1], args.connections, args.seconds)
    if args.smoke:
        load = dataclasses.replace(load, seconds=5, requests=300)
        args.rounds, args.repeats = 1, 0
    elif len(cpus) < 2:
        parser.error("server and client need a CPU each, only one is ours")
    results = {}
    for scenario in args.scenarios or SCENARIOS:
        if scenario not in SCENARIOS:
            parser.error(f"{scenario}: the scenarios are {', '.join(SCENARIOS)}")
        rounds = _interleave(args, SCENARIOS[scenario], load)
        if args.smoke:
            answered = [(each.first.requests, each.second.requests) for each in rounds]
            sys.stdout.write(f"{scenario}: answered {answered}\n")
        else:
            _print(scenario, args.first, args.second, rounds)
        results[scenario] = rounds
    if args.json:
        args.json.write_text(json.dumps(results, default=vars, indent=1))
    failed = sum(each.first.errors + each.second.errors for row in results.values() for each in row)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    generator = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("scenarios", nargs="*", help=f"of {', '.join(SCENARIOS)}; default: all")
    parser.add_argument(
        "--first", type=Subject.parse, default="hurricane", help="KIND[@BIN_DIRECTORY] [OPTION…]"
    )
    parser.add_argument("--second", type=Subject.parse, default="granian", help="likewise")
    parser.add_argument("--rounds", type=int, default=7, help="pairs that count (7)")
    parser.add_argument("--repeats", type=int, default=7, help="rounds more if noisy (7)")
    parser.add_argument("--seconds", type=float, default=3, help="per measurement (3)")
    parser.add_argument("--connections", type=int, default=64, help="kept alive (64)")
    parser.add_argument("--noise", type=float, default=0.03, help="foreign CPU of a quiet round")
    parser.add_argument("--json", type=Path, help="also writes every measurement to this file")
    parser.add_argument("--smoke", action="store_true", help="300 requests each, proves it works")
    parser.add_argument(
        "--generator", type=Path, default=generator / "release/hurricane-loadtest",
        help="executable of the load generator",
    )  # fmt: skip
    return parser


def _interleave(args: argparse.Namespace, application: str, load: Load) -> list[Round]:
    """The quietest rounds: noisy ones are repeated as long as repeats are left."""
    logs = load.generator.parent
    rounds: list[Round] = []
    with contextlib.ExitStack() as servers:
        first, second = (
            servers.enter_context(
                Server(subject, application, load.server_cpu, logs / f"loadtest-{place}.log")
            )
            for place, subject in (("first", args.first), ("second", args.second))
        )
        if not args.smoke:
            for server in (first, second):
                _measure(server, dataclasses.replace(load, seconds=1))
        while len(rounds) < args.rounds + args.repeats:
            rounds.append(Round(_measure(first, load), _measure(second, load)))
            if sum(each.foreign <= args.noise for each in rounds) >= args.rounds:
                break
    return sorted(rounds, key=lambda each: each.foreign)[: args.rounds]


def _measure(server: Server, load: Load) -> Measurement:
    command = [
        "taskset", "--cpu-list", str(load.client_cpu), str(load.generator),
        f"--address=127.0.0.1:{server.port}", f"--connections={load.connections}",
        f"--seconds={load.seconds}",
    ]  # fmt: skip
    if load.requests is not None:
        command.append(f"--requests={load.requests}")
    cpus = {load.server_cpu, load.client_cpu}
    started, busy, used, client = (
        time.monotonic(),
        cpu_busy_seconds(cpus),
        server.usage(),
        _waited(),
    )
    outcome = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    used = server.usage() - used
    foreign = cpu_busy_seconds(cpus) - busy - used.cpu_seconds - (_waited() - client)
    requests = max(outcome["requests"], 1)
    if outcome["errors"]:
        sys.stderr.write(f"{outcome['errors']} errors, the first: {outcome['first_error']}\n")
    return Measurement(
        requests=outcome["requests"],
        errors=outcome["errors"],
        requests_per_second=requests / outcome["seconds"],
        cpu_us=used.cpu_seconds / requests * 1e6,
        switches=used.switches / requests,
        p50_us=outcome["latency_us"]["p50"],
        p99_us=outcome["latency_us"]["p99"],
        foreign=max(foreign, 0) / (time.monotonic() - started) / len(cpus),
    )


def _waited() -> float:
    """CPU time of the processes that this one has waited for, which are the generators."""
    times = os.times()
    return times.children_user + times.children_system


def _print(scenario: str, first: Subject, second: Subject, rounds: list[Round]) -> None:
    foreign = max(each.foreign for each in rounds)
    lines = [
        f"\n{scenario}: {len(rounds)} rounds, foreign load at most {foreign:.1%}",
        f"{'':12}{'CPU µs':>10}{'switches':>10}{'requests/s':>12}{'p50 µs':>9}{'p99 µs':>9}",
    ]
    sides = (first, [each.first for each in rounds]), (second, [each.second for each in rounds])
    for subject, row in sides:
        lines.append(
            f"{subject.kind:12}{median(m.cpu_us for m in row):10.1f}"
            f"{median(m.switches for m in row):10.2f}"
            f"{median(m.requests_per_second for m in row):12.0f}"
            f"{median(m.p50_us for m in row):9.0f}{median(m.p99_us for m in row):9.0f}"
        )
    ratios = sorted(each.ratio for each in rounds)
    lines.append(
        f"CPU per request, {first.kind} / {second.kind}: "
        f"{median(ratios):.3f} (rounds {ratios[0]:.3f} to {ratios[-1]:.3f})"
    )
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
