"""The same page with 1, 4 and 16 threads: what it costs, and whether slow views delay it."""

import time
from dataclasses import dataclass, replace
from typing import Any

from contest import Contest
from generator import Generator, Load, conclude
from rounds import Policy, interleave, ratio, typical
from running import Server, Service, Site, serve
from scenarios import BY_NAME, Application
from servers import Subject

THREADS = (1, 4, 16)
RIVAL = "granian"
ROUNDS = 5
SECONDS = 1
# A load under which nobody waits for the CPU, so that a delay is the slow views' doing.
QUICK = Load(rate=500, connections=8)
SLOW = Load("/second")
# Of which the slowest hundredth is more than a few.
DELAY_SECONDS = 4
# The slow views are under way before the quick ones count.
MARGIN_SECONDS = 0.3


@dataclass(frozen=True)
class Wait:
    """Latency of the quick page."""

    p99_us: float
    foreign: float = 0


def threads(site: Site, generator: Generator, deadline: float) -> dict[str, dict[str, Any]]:
    """By number of threads: CPU and context switches a request; p99 without and with slow views."""
    scenario = replace(BY_NAME["django"], rivals=(RIVAL,))
    subjects = {
        count: Subject("hurricane", extra=(f"--threads={count}",), label=f"hurricane {count}")
        for count in THREADS
    }
    contest = Contest(site, generator, ROUNDS, ROUNDS, 0.03, SECONDS)
    half = (deadline - time.monotonic()) / 2
    compared = contest.compare(scenario, [*subjects.values(), Subject(RIVAL)], half)
    found: dict[str, dict[str, Any]] = {}
    for count, subject in subjects.items():
        share = ratio(compared.rounds, subject.name, RIVAL, lambda each: each.cpu_us)
        found[str(count)] = {
            "cpu_us": compared.median(subject.name, lambda each: each.cpu_us),
            "switches": compared.median(subject.name, lambda each: each.switches),
            "share_of_rival": [share.median, share.low, share.high],
        }
        # With one thread there is no other one.
        if count > 1:
            with serve(subject, Service(Application.DJANGO), site) as server:
                found[str(count)] |= _delays(server, count, generator, deadline)
    return found


def _delays(server: Server, count: int, generator: Generator, deadline: float) -> dict[str, Any]:
    """The quick page's p99: alone, while one other thread waits, and while all others do."""
    waiting = {"alone": 0, "one": 1, "all": count - 1}

    def quick() -> Wait:
        return Wait(generator.run(QUICK, server.port, DELAY_SECONDS).latency.p99)

    def one(name: str) -> Wait:
        if not waiting[name]:
            return quick()
        slow = replace(SLOW, connections=waiting[name])
        busy = generator.start(slow, server.port, DELAY_SECONDS + 2 * MARGIN_SECONDS)
        time.sleep(MARGIN_SECONDS)
        try:
            return quick()
        finally:
            conclude(busy)

    quick()
    rounds = interleave(tuple(waiting), one, Policy(ROUNDS, 0, 1, deadline))
    found: dict[str, Any] = {"p99_alone_us": typical(rounds, "alone", lambda each: each.p99_us)}
    for name in ("one", "all"):
        factor = ratio(rounds, name, "alone", lambda each: each.p99_us)
        found[name] = [factor.median, factor.low, factor.high]
    return found
