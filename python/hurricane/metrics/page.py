"""The project's part of ``/metrics``: what ``prometheus_client`` holds, of all processes.

It is asked for in the process that answers probes, on a thread of its own.

Invariants:
- A metric of the project that raises or hangs costs a bounded time and itself; it is logged, and
  everything else is on the page.
- A metric that hangs is not called again before it has ended.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from hurricane import compat
from hurricane.metrics import processes, registry, sharing
from hurricane.metrics.base import AverageMetric, CalculatedMetric
from hurricane.metrics.numbers import HIDDEN
from hurricane.server.loggers import metrics_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Call = tuple[str, Callable[[], Any]]

# What all of them may take together, and each of them. The server waits for a little more.
TOGETHER_SECONDS = 2.0
EACH_SECONDS = 1.0
# What the server counts itself.
OWN = "hurricane.metrics.requests"


def text(alive: list[str]) -> str:
    """The page; ``alive``: the workers whose live gauges count."""
    try:
        from prometheus_client import REGISTRY
        from prometheus_client.exposition import generate_latest
    except ModuleNotFoundError:
        return ""
    run([(code, caller(metric)) for code, metric in registered()])
    collected: list[Any] = []
    run([(f"collector {name_of(each)}", taker(each, collected)) for each in collectors(REGISTRY)])
    families = combine(collected, merged(sharing.files(alive)))
    return generate_latest(Families(families)).decode()


class Families:
    """Families as ``generate_latest`` takes them."""

    def __init__(self, families: Iterable[Any]) -> None:
        self.families = families

    def collect(self) -> Iterable[Any]:
        """All of them."""
        return self.families


def registered() -> list[tuple[str, Any]]:
    """The project's own metrics."""
    metrics = list(registry.metrics.items())
    return [(code, metric) for code, metric in metrics if type(metric).__module__ != OWN]


def caller(metric: Any) -> Callable[[], Any]:  # noqa: ANN401 - metrics of projects
    """How a metric is asked."""

    def call() -> None:
        value = metric.get()
        if metric.is_async or inspect.iscoroutine(value):
            asyncio.run(awaited(value))

    return call


async def awaited(value: Any) -> None:  # noqa: ANN401 - whatever can be awaited
    """Awaits it."""
    await value


def collectors(registry_of_library: Any) -> list[Any]:  # noqa: ANN401 - its registry
    """What is registered with ``prometheus_client``."""
    return list(getattr(registry_of_library, "_collector_to_names", {}))


def taker(collector: Any, collected: list[Any]) -> Callable[[], None]:  # noqa: ANN401
    """How a collector is asked."""

    def take() -> None:
        collected.extend(collector.collect())

    return take


def name_of(collector: Any) -> str:  # noqa: ANN401 - any collector
    """What a collector of ``prometheus_client`` goes by."""
    return getattr(collector, "_name", "") or type(collector).__qualname__


def merged(files: list[str]) -> dict[str, Any]:
    """What all processes have in their files, by family."""
    from prometheus_client.multiprocess import MultiProcessCollector

    families = MultiProcessCollector.merge(files) if files else []  # type: ignore[no-untyped-call]
    return {family.name: family for family in families if family.name != HIDDEN}


def combine(own: list[Any], shared: dict[str, Any]) -> list[Any]:
    """This process's families, with the numbers of all where they are shared."""
    calculated = set(names_of_calculated())
    families = []
    for family in own:
        everywhere = shared.pop(family.name, None)
        if everywhere is None or family.name in calculated:
            families.append(processes.summed(family))
        else:
            families.append(as_before(everywhere, family) if compat.is_legacy() else everywhere)
    # Made by a worker after it was forked.
    return families + list(shared.values())


def as_before(everywhere: Any, own: Any) -> Any:  # noqa: ANN401 - families of the library
    """A family of the one worker: when it was made, and a gauge without whose it is."""
    created = [sample for sample in own.samples if sample.name.endswith("_created")]
    workers_last = sorted(everywhere.samples, key=is_of_worker)
    anonymous = {
        (sample.name, *sorted(labels.items())): sample._replace(labels=labels)
        for sample in workers_last
        for labels in [{name: value for name, value in sample.labels.items() if name != "pid"}]
    }
    everywhere.samples = [*anonymous.values(), *created]
    return everywhere


def is_of_worker(sample: Any) -> bool:  # noqa: ANN401 - a sample of the library
    """Whether a worker has set it, and not the process from which workers are forked."""
    return str(sample.labels.get("pid", "")).startswith("w")


def names_of_calculated() -> Iterable[str]:
    """Families whose value is what this process has just calculated."""
    from prometheus_client import REGISTRY

    for _, metric in registered():
        if isinstance(metric, AverageMetric | CalculatedMetric):
            yield getattr(getattr(metric, "prometheus", None), "_name", "")
    for collector in collectors(REGISTRY):
        # A gauge with a function.
        if "_child_samples" in vars(collector):
            yield name_of(collector)


class Runner:
    """Makes calls one after the other on a thread, until one takes too long."""

    def __init__(self, calls: list[Call]) -> None:
        self.calls = calls
        self.turn = threading.Condition()
        self.current: tuple[str, float] | None = None
        self.is_abandoned = False
        self.has_ended = False
        name = "project-metrics"
        self.thread = threading.Thread(target=self.live, name=name, daemon=True)
        self.thread.start()

    def live(self) -> None:
        """The thread's life."""
        try:
            while (call := self.next()) is not None:
                make(call)
        finally:
            close_connections()
            with self.turn:
                self.has_ended = True
                self.turn.notify_all()

    def next(self) -> Call | None:
        """The next call, or none."""
        with self.turn:
            self.current = None
            if self.is_abandoned or not self.calls:
                return None
            call = self.calls.pop(0)
            self.current = (call[0], time.monotonic())
            return call

    def wait(self, until: float) -> str | None:
        """Waits for the end; returns the call that has not come to it."""
        with self.turn:
            while not self.has_ended:
                began = self.current[1] if self.current else time.monotonic()
                patience = min(until, began + EACH_SECONDS) - time.monotonic()
                if patience <= 0:
                    self.is_abandoned = True
                    return self.current[0] if self.current else None
                self.turn.wait(patience)
        return None


# Threads that have not come back, by the name of what they call.
hanging: dict[str, Runner] = {}


def run(calls: list[Call]) -> None:
    """Makes all calls that end in time."""
    for name, runner in list(hanging.items()):
        if runner.has_ended:
            del hanging[name]
    for name in hanging:
        metrics_log.warning("Metric %s is still being asked and is left out", name)
    calls = [call for call in calls if call[0] not in hanging]
    until = time.monotonic() + TOGETHER_SECONDS
    while calls and time.monotonic() < until:
        runner = Runner(calls)
        late = runner.wait(until)
        if late is None:
            break
        hanging[late] = runner
        metrics_log.warning("Metric %s takes longer than %s s and is left out", late, EACH_SECONDS)
    if calls and time.monotonic() >= until:
        left = ", ".join(name for name, _ in calls)
        metrics_log.warning("There was no time left to ask these metrics: %s", left)


def make(call: Call) -> None:
    """Makes one call; whatever it raises is logged."""
    name, ask = call
    try:
        ask()
    except (Exception, SystemExit):  # noqa: BLE001 - a project may raise anything
        metrics_log.exception("Metric %s raised and may be missing", name)


def close_connections() -> None:
    """Closes what the calls have opened of Django's databases on this thread."""
    databases = sys.modules.get("django.db")
    if databases is not None:
        databases.connections.close_all()
