"""Where the time of a scenario goes: a flame graph, and a table by stage of a request."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import callgrind
import stages
from generator import Generator, conclude
from measuring import warm
from processes import tree
from run import TARGET
from running import Server, Service, Site, serve
from scenarios import BY_NAME, Scenario
from servers import Places, Subject

# Samples a second; not a divisor of timers of 1 ms.
HERTZ = 997
# Of each stack: what perf copies for unwinding.
STACK_BYTES = 16384


def main(arguments: Sequence[str] | None = None) -> int:
    """Profiles Hurricane in a scenario, draws it and prints the table."""
    args = _parser().parse_args(arguments)
    scenario = BY_NAME[args.scenario]
    cpus = sorted(os.sched_getaffinity(0))
    places = Places(args.scripts, None, args.native, args.example)
    generator = Generator(args.generator, (cpus[-1],))
    args.output.mkdir(parents=True, exist_ok=True)
    perf = None if args.callgrind else _working_perf(args.output)
    if perf is None and shutil.which("valgrind") is None:
        sys.stderr.write("neither perf (allowed to sample) nor valgrind is here; install one\n")
        return 1
    with tempfile.TemporaryDirectory(prefix="hurricane-profile-") as scratch:
        site = Site(places, (cpus[0],), Path(scratch))
        service = Service(scenario.application, _path(scenario), scenario.threads)
        if perf:
            with serve(args.subject, service, site) as server:
                warm(server, scenario.load, generator)
                folded, cpu_us = _sampled(perf, server, scenario, generator, args)
        else:
            cpu_us = None
            folded = callgrind.counted(args.subject, service, site, scenario.load, generator)
    if not folded.strip():
        sys.stderr.write("no sample was taken; is the server under load?\n")
        return 1
    stem = args.output / f"{scenario.name}-{args.subject.kind}"
    stem.with_suffix(".folded").write_text(folded)
    svg = stem.with_suffix(".svg")
    _draw(args.inferno, folded, f"{args.subject.name}: {scenario.title}", svg)
    sys.stdout.write(f"{stages.table(stages.count(folded.splitlines()), cpu_us)}\n{svg}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("scenario", choices=list(BY_NAME), metavar="SCENARIO")
    parser.add_argument("--subject", type=Subject.parse, default=Subject("hurricane"))
    parser.add_argument("--seconds", type=float, default=4, help="under load (4)")
    parser.add_argument("--callgrind", action="store_true", help="even where perf works")
    scripts = Path(sys.executable).parent
    for flag, default, what in (
        ("--output", TARGET / "profiles", "directory of what is drawn"),
        ("--inferno", TARGET / "tools/inferno/bin", "directory of inferno's executables"),
        ("--generator", TARGET / "release/hurricane-loadtest", "the load generator"),
        ("--scripts", scripts, "directory of Hurricane's and the rivals' executables"),
        ("--native", TARGET / "native/release", "likewise of the native servers"),
        ("--example", TARGET / "release/examples/native", "our own native server"),
    ):
        parser.add_argument(flag, type=Path, default=default, help=what)
    return parser


def _working_perf(output: Path) -> str | None:
    """The executable, where the machine has it and lets it sample."""
    perf = shutil.which("perf")
    if perf is None:
        return None
    tried = subprocess.run(
        [perf, "record", "--event=cpu-clock", f"--output={output / 'perf.data'}", "--", "true"],
        check=False, capture_output=True,
    )  # fmt: skip
    return perf if tried.returncode == 0 else None


def _path(scenario: Scenario) -> str:
    return "/" if scenario.load.body else scenario.load.path


def _sampled(
    perf: str, server: Server, scenario: Scenario, generator: Generator, args: argparse.Namespace
) -> tuple[str, float]:
    """Folded stacks of all processes of the server while it is loaded, and what a request costs."""
    data = args.output / "perf.data"
    before = server.usage()
    running = generator.start(scenario.load, server.port, args.seconds + 1)
    pids = ",".join(map(str, tree(server.process.pid)))
    try:
        subprocess.run(
            [
                perf, "record", "--quiet", "--event=cpu-clock", f"--freq={HERTZ}",
                f"--call-graph=dwarf,{STACK_BYTES}", f"--pid={pids}", f"--output={data}", "--",
                "sleep", str(args.seconds),
            ],
            check=True,
        )  # fmt: skip
    finally:
        outcome = conclude(running)
    cpu_us = (server.usage() - before).cpu_seconds / max(outcome.requests, 1) * 1e6
    sys.stdout.write(f"{outcome.requests} requests, {outcome.errors} errors\n")
    script = subprocess.run(
        [perf, "script", f"--input={data}"],
        check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    data.unlink()
    folded = subprocess.run(
        [args.inferno / "inferno-collapse-perf"],
        check=True, input=script.stdout, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return folded.stdout.decode(errors="replace"), cpu_us


def _draw(inferno: Path, folded: str, title: str, svg: Path) -> None:
    drawn = subprocess.run(
        [inferno / "inferno-flamegraph", "--title", title, "--hash", "--minwidth", "0.2"],
        check=True, input=folded.encode(), stdout=subprocess.PIPE,
    )  # fmt: skip
    svg.write_bytes(drawn.stdout)


if __name__ == "__main__":
    sys.exit(main())
