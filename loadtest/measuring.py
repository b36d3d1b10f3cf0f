"""One server under load for a few seconds."""

import os
import time
from dataclasses import dataclass, replace

from generator import Generator, Load, LoadError, Outcome, conclude
from processes import Usage, cpu_busy_seconds
from running import Server
from scenarios import Scenario

# The busy load of a probe scenario begins so much earlier and ends so much later than the probes.
MARGIN_SECONDS = 0.3


@dataclass(frozen=True)
class Measurement:
    """What it has cost, and what it was like for clients."""

    requests: int
    errors: int
    requests_per_second: float
    # Over all processes of the server, and of the client.
    cpu_us: float
    client_cpu_us: float
    # Context switches of the server per request.
    switches: float
    # Latencies in microseconds; of the probes where there are some.
    p50_us: float
    p99_us: float
    p999_us: float
    pss_mib: float
    # Share of the CPUs that neither servers nor client have used.
    foreign: float
    slow_answered: int = 0
    slow_failed: int = 0


class WrongAnswerError(Exception):
    """A server answers something else than what is measured."""

    def __init__(self, server: str, what: str) -> None:
        super().__init__(f"{server}: {what}")
        self.server = server


def measure(
    server: Server,
    scenario: Scenario,
    generator: Generator,
    seconds: float,
    bystanders: list[Server],
) -> Measurement:
    """Loads a server; the bystanders are the other servers of the round, which idle."""
    cpus = {*generator.cpus, *server.cpus}
    began, busy, client = time.monotonic(), cpu_busy_seconds(cpus), _waited()
    before = server.usage()
    idle_before = sum((other.usage().cpu_seconds for other in bystanders), 0.0)
    try:
        outcome, latency = _load(server, scenario, generator, seconds)
    except LoadError as error:
        raise WrongAnswerError(server.name, str(error)) from error
    used = server.usage() - before
    idle = sum((other.usage().cpu_seconds for other in bystanders), 0.0) - idle_before
    foreign = cpu_busy_seconds(cpus) - busy - used.cpu_seconds - idle - (_waited() - client)
    elapsed = time.monotonic() - began
    _check(server, scenario, outcome)
    return _measurement(outcome, latency, used, server.pss_mib(), foreign / elapsed / len(cpus))


def _load(
    server: Server, scenario: Scenario, generator: Generator, seconds: float
) -> tuple[Outcome, Outcome]:
    """The outcome of the load, and that whose latencies count."""
    if scenario.probe is None:
        outcome = generator.run(scenario.load, server.port, seconds)
        return outcome, outcome
    busy = generator.start(scenario.load, server.port, seconds + 2 * MARGIN_SECONDS)
    time.sleep(MARGIN_SECONDS)
    # Only ours has a probe port.
    port, load = (
        (server.probe_port, replace(scenario.probe, path="/ready"))
        if server.name.startswith("hurricane")
        else (server.port, scenario.probe)
    )
    try:
        probes = generator.run(load, port, seconds)
    finally:
        outcome = conclude(busy)
    if probes.errors:
        raise WrongAnswerError(server.name, f"{probes.errors} probes failed: {probes.first_error}")
    return outcome, probes


def warm(server: Server, load: Load, generator: Generator) -> None:
    """A few hundred requests, so that what happens once has happened."""
    quick = replace(load, slow=0, rate=None, read_rate=None)
    try:
        generator.run(quick.limited(64 * 16), server.port, 1)
    except LoadError as error:
        raise WrongAnswerError(server.name, str(error)) from error


def _check(server: Server, scenario: Scenario, outcome: Outcome) -> None:
    if not outcome.requests:
        raise WrongAnswerError(server.name, f"no answer, {outcome.first_error}")
    if outcome.errors > max(outcome.requests // 100, 2):
        raise WrongAnswerError(
            server.name,
            f"{outcome.errors} of {outcome.requests} requests failed, the first "
            f"with: {outcome.first_error}",
        )
    each = outcome.body_bytes / outcome.requests
    if scenario.body_bytes is not None and each != scenario.body_bytes:
        raise WrongAnswerError(
            server.name, f"{each:.1f} bytes a body, {scenario.body_bytes} are expected"
        )


def _measurement(
    outcome: Outcome, latency: Outcome, used: Usage, pss_mib: float, foreign: float
) -> Measurement:
    return Measurement(
        requests=outcome.requests,
        errors=outcome.errors,
        requests_per_second=outcome.requests / outcome.seconds,
        cpu_us=used.cpu_seconds / outcome.requests * 1e6,
        client_cpu_us=outcome.client_cpu_us / outcome.requests,
        switches=used.switches / outcome.requests,
        p50_us=latency.latency.p50,
        p99_us=latency.latency.p99,
        p999_us=latency.latency.p999,
        pss_mib=pss_mib,
        foreign=max(foreign, 0),
        slow_answered=outcome.slow_answered,
        slow_failed=outcome.slow_failed,
    )


def _waited() -> float:
    """CPU time of the processes that this one has waited for, which are the generators."""
    times = os.times()
    return times.children_user + times.children_system
