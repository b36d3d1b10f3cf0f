"""Counts the requests that a rolling restart loses, on Hurricane and on its rivals.

Two pods stand behind a load balancer that hears of a deletion one second late. Both are replaced
again and again while requests come. Usage is in README.md.
"""

import argparse
import asyncio
import contextlib
import importlib.metadata
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import hurricane
from balancer import Balancer, Pod
from servers import APPLICATIONS, free_port
from traffic import Traffic

PODS = 2
KEPT_CLIENTS = 10
# Nothing of a pod's is left after this.
STOP_SECONDS_MAX = 60


@dataclass(frozen=True)
class Subject:
    """A server and how its pods end."""

    kind: str
    # Slept between the deletion and the signal, as by a `preStop` hook.
    pre_stop_seconds: float = 0.0

    @property
    def name(self) -> str:
        """As the table has it."""
        hook = f", preStop {self.pre_stop_seconds:g} s" if self.pre_stop_seconds else ""
        return f"{self.kind} {_version(self.kind)}{hook}"


SUBJECTS = (
    Subject("hurricane"),
    Subject("granian"),
    Subject("gunicorn"),
    Subject("granian", 5),
    Subject("gunicorn", 5),
)


@dataclass
class Pods:
    """The processes of one subject."""

    subject: Subject
    logs: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    async def start(self) -> Pod:
        """Starts one more."""
        port, probe_port = free_port(), free_port()
        command, path = COMMANDS[self.subject.kind](port, probe_port)
        with (self.logs / f"{self.subject.kind}-{port}.log").open("wb") as output:
            process = subprocess.Popen(
                [str(Path(sys.executable).parent / command[0]), *command[1:]],
                cwd=APPLICATIONS,
                # Where Kubernetes is, Hurricane goes on accepting for 5 s.
                env=os.environ | {"KUBERNETES_SERVICE_HOST": "127.0.0.1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.running.append(process)
        is_hurricane = self.subject.kind == "hurricane"

        def terminate() -> None:
            asyncio.get_running_loop().call_later(
                self.subject.pre_stop_seconds, process.send_signal, signal.SIGTERM
            )

        return Pod(port, probe_port if is_hurricane else port, path, terminate)

    async def wait_for_all_but(self, count: int) -> None:
        """Waits for those that have been told to end."""
        for process in self.running[:-count]:
            await asyncio.to_thread(process.wait, STOP_SECONDS_MAX)
        del self.running[:-count]

    @contextlib.contextmanager
    def ended(self) -> Generator[None]:
        """Ends all of them with the block."""
        try:
            yield
        finally:
            for process in self.running:
                process.terminate()
            for process in self.running:
                process.wait(STOP_SECONDS_MAX)


def _hurricane(port: int, probe_port: int) -> tuple[list[str], str]:
    return ["hurricane", "serve", "--host=127.0.0.1", f"--port={port}",
            f"--probe-port={probe_port}", "--workers=2", "--threads=8",
            "brief:application"], "/ready"  # fmt: skip


def _granian(port: int, _probe_port: int) -> tuple[list[str], str]:
    return ["granian", "--interface=wsgi", "--host=127.0.0.1", f"--port={port}", "--workers=2",
            "--blocking-threads=8", "brief:application"], "/"  # fmt: skip


def _gunicorn(port: int, _probe_port: int) -> tuple[list[str], str]:
    # Kept connections are for threads only; two seconds, its default, are less than any load
    # balancer keeps them.
    return ["gunicorn", f"--bind=127.0.0.1:{port}", "--workers=2", "--worker-class=gthread",
            "--threads=8", "--keep-alive=75", "--no-control-socket",
            "brief:application"], "/"  # fmt: skip


COMMANDS: dict[str, Callable[[int, int], tuple[list[str], str]]] = {
    "hurricane": _hurricane,
    "granian": _granian,
    "gunicorn": _gunicorn,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Rolls each server's pods and prints the table; fails if Hurricane lost a request."""
    parser = _parser()
    args = parser.parse_args(arguments)
    if unknown := set(args.servers) - set(COMMANDS):
        parser.error(f"{', '.join(sorted(unknown))}: the servers are {', '.join(COMMANDS)}")
    chosen = [subject for subject in SUBJECTS if subject.kind in (args.servers or COMMANDS)]
    rows = []
    lost = 0
    with tempfile.TemporaryDirectory(prefix="hurricane-rolling-") as logs:
        for subject in chosen:
            new, kept = asyncio.run(_roll(Pods(subject, Path(logs)), args))
            rows.append((subject.name, new, kept))
            if subject.kind == "hurricane":
                lost += new.lost.total() + kept.lost.total()
    sys.stdout.write(_table(args, rows))
    return 1 if lost else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("servers", nargs="*", help=f"of {', '.join(COMMANDS)}; default: all")
    parser.add_argument("--rounds", type=int, default=10, help="times that both pods go (10)")
    parser.add_argument("--rate", type=float, default=50, help="new connections a second (50)")
    parser.add_argument(
        "--propagation", type=float, default=1.0,
        help="seconds from a pod's deletion until it is no endpoint any more (1)",
    )  # fmt: skip
    return parser


async def _roll(pods: Pods, args: argparse.Namespace) -> tuple[Traffic, Traffic]:
    balancer = Balancer(args.propagation)
    new = Traffic(balancer.choose, new_per_second=args.rate)
    kept = Traffic(
        balancer.choose,
        new_per_second=0,
        kept_clients=KEPT_CLIENTS,
        kept_per_second=args.rate / KEPT_CLIENTS,
    )
    with pods.ended():
        endpoints = [await pods.start() for _ in range(PODS)]
        for pod in endpoints:
            await balancer.admit(pod)
        enough = asyncio.Event()
        async with asyncio.TaskGroup() as flowing:
            flowing.create_task(new.run(enough))
            flowing.create_task(kept.run(enough))
            for _ in range(args.rounds):
                endpoints = await balancer.roll(endpoints, pods.start)
                await pods.wait_for_all_but(PODS)
            enough.set()
    return new, kept


def _version(kind: str) -> str:
    return hurricane.__version__ if kind == "hurricane" else importlib.metadata.version(kind)


def _table(args: argparse.Namespace, rows: list[tuple[str, Traffic, Traffic]]) -> str:
    title = (
        f"{args.rounds} rounds, {PODS} pods replaced in each, endpoints withdrawn after "
        f"{args.propagation:g} s, CPython {sys.version.split()[0]}: requests lost"
    )
    lines = [
        title,
        "",
        "| server | on new connections | on kept connections |",
        "|---|---|---|",
    ]
    for name, *both in rows:
        cells = []
        for traffic in both:
            asked = traffic.answered + traffic.lost.total()
            ways = ", ".join(f"{count} {way}" for way, count in traffic.lost.most_common())
            cells.append(f"{traffic.lost.total()} of {asked}" + (f": {ways}" if ways else ""))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
