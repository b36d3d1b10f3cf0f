"""How many pages there are with 1 to N workers, each on a CPU of its own, and what one costs.

The client shares the last CPU with the last worker. It takes a hundredth of what the page takes, so
all CPUs can be the servers'; a hello would need as many for its clients, and leave half of them.
"""

import os
from dataclasses import replace
from typing import Any

from generator import Generator
from measuring import Measurement, measure, warm
from rounds import Policy, interleave, ratio, typical
from running import NotRunningError, Service, Site, serve
from scenarios import BY_NAME
from servers import Subject

SCENARIO = BY_NAME["template"]
RIVALS = ("granian", "gunicorn")
ROUNDS = 3
SECONDS = 2


def worker_counts(cpus: int) -> list[int]:
    """One, twice as many, and so on, and as many as there are CPUs."""
    return sorted({1 << power for power in range(cpus.bit_length())} | {cpus})


def scale(site: Site, generator: Generator, deadline: float) -> dict[str, Any]:
    """By server and number of workers: pages a second, times those of one worker, CPU a page."""
    cpus = tuple(sorted(os.sched_getaffinity(0)))
    clients = replace(generator, cpus=cpus[-1:])
    counts = worker_counts(len(cpus))

    def one(kind: str, workers: int) -> Measurement:
        service = Service(SCENARIO.application, path=SCENARIO.load.path, workers=workers)
        with serve(Subject(kind), service, replace(site, cpus=cpus[:workers])) as server:
            warm(server, SCENARIO.load, clients)
            return measure(server, SCENARIO, clients, SECONDS, [])

    kinds = ["hurricane", *(kind for kind in RIVALS if _runs(kind, site))]
    names = {f"{kind} {workers}": (kind, workers) for kind in kinds for workers in counts}
    rounds = interleave(list(names), lambda name: one(*names[name]), Policy(ROUNDS, 0, 1, deadline))
    found: dict[str, Any] = {"cpus": len(cpus), "rounds": len(rounds), "servers": {}}
    for name, (kind, workers) in names.items():
        times = ratio(rounds, name, f"{kind} 1", lambda each: each.requests_per_second)
        cost = ratio(rounds, name, f"{kind} 1", lambda each: each.cpu_us)
        found["servers"].setdefault(kind, {})[str(workers)] = {
            "requests_per_second": typical(rounds, name, lambda each: each.requests_per_second),
            "times_one": [times.median, times.low, times.high],
            "cpu_us": typical(rounds, name, lambda each: each.cpu_us),
            "cpu_times_one": [cost.median, cost.low, cost.high],
            "client_cpu_us": typical(rounds, name, lambda each: each.client_cpu_us),
        }
    return found


def _runs(kind: str, site: Site) -> bool:
    """Whether a rival is there."""
    try:
        with serve(Subject(kind), Service(SCENARIO.application), site):
            return True
    except NotRunningError:
        return False
