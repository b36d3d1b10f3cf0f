"""What a project's own metrics are made of.

A metric has a ``code`` under which it is registered. One with an object of ``prometheus_client`` as
``prometheus`` is on the page ``/metrics``; one without can be read in Python alone. Numbers are
those of all workers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hurricane.metrics.numbers import Latest, Sum

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram


class HurricaneMetric:
    """Base of all metrics."""

    # Whether ``get`` is to be awaited.
    is_async: bool = False
    code: str = ""

    @classmethod
    def get_from_registry(cls) -> Any:  # noqa: ANN401 - metrics of projects
        """The instance that is registered."""
        from hurricane.metrics import registry

        return registry.get(cls.code)


class StoredMetric(HurricaneMetric):
    """A value that is set. All workers see numbers, and other values who has set them."""

    value: Any = None

    def __init__(self, code: str | None = None, initial: Any = None) -> None:  # noqa: ANN401
        if code:
            self.code = code
        if initial:
            self.value = initial
        self.set_at = 0.0
        self.latest = Latest(self.code, "latest")

    @classmethod
    def set(cls, value: Any) -> None:  # noqa: ANN401 - whatever a project stores
        """Replaces the value."""
        metric = cls.get_from_registry()
        metric.value = value
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        metric.set_at = metric.latest.set(value) if is_number else time.time()

    @classmethod
    def get(cls) -> Any:  # noqa: ANN401 - whatever a project stores
        """The value that was set last."""
        metric = cls.get_from_registry()
        latest, set_at = metric.latest.latest()
        return latest if set_at > metric.set_at else metric.value


class CalculatedMetric(HurricaneMetric):
    """A value that is calculated when it is asked for, in the process that answers the scrape."""

    def __init__(self, code: str | None = None) -> None:
        if code:
            self.code = code

    @classmethod
    def get(cls) -> Any:  # noqa: ANN401 - whatever a project calculates
        """The value now."""
        return cls.get_value(cls)  # type: ignore[arg-type]

    def get_value(self) -> Any:  # noqa: ANN401 - whatever a project calculates
        """Calculates it."""
        raise NotImplementedError


class CounterMetric(StoredMetric):
    """A number that is counted up and down."""

    value: Any = 0
    prometheus: Counter | None = None

    def __init__(self, code: str | None = None, initial: Any = None) -> None:  # noqa: ANN401
        super().__init__(code, initial)
        self.begin = self.value
        self.sum = Sum(self.code, "count")

    @classmethod
    def increment(cls) -> None:
        """Adds one."""
        if cls.prometheus:
            cls.prometheus.inc()
        cls.add(1)

    @classmethod
    def decrement(cls) -> None:
        """Takes one away; not from ``prometheus``, whose counters only grow."""
        cls.add(-1)

    @classmethod
    def add(cls, amount: float) -> None:
        """Adds to the number."""
        metric = cls.get_from_registry()
        metric.value += amount
        metric.sum.add(amount)

    @classmethod
    def set(cls, value: Any) -> None:  # noqa: ANN401 - as its base
        """Makes it that number."""
        cls.add(value - cls.get())

    @classmethod
    def get(cls) -> Any:  # noqa: ANN401 - as its base
        """What was counted, over all workers."""
        metric = cls.get_from_registry()
        total = metric.begin + metric.sum.total()
        return int(total) if total == int(total) else total


class AverageMetric(StoredMetric):
    """The average of what was added."""

    counter = 0
    value: Any = 0
    prometheus: Gauge | None = None

    def __init__(self, code: str | None = None, initial: Any = None) -> None:  # noqa: ANN401
        super().__init__(code, initial)
        self.sum, self.count = Sum(self.code, "sum"), Sum(self.code, "count")

    @classmethod
    def add_value(cls, value: float) -> None:
        """Takes one more value into the average."""
        metric = cls.get_from_registry()
        metric.counter += 1
        metric.value += (value - metric.value) / metric.counter
        metric.sum.add(value)
        metric.count.add(1)
        if cls.prometheus:
            cls.prometheus.set(metric.value)

    @classmethod
    def get(cls) -> Any:  # noqa: ANN401 - as its base
        """The average over all workers."""
        metric = cls.get_from_registry()
        count = metric.count.total()
        average = metric.sum.total() / count if count else metric.value
        if cls.prometheus and count:
            cls.prometheus.set(average)
        return average


class ObservedMetric(StoredMetric):
    """A value that is observed again and again."""

    value: Any = 0
    prometheus: Histogram | None = None

    @classmethod
    def observe(cls, value: float) -> None:
        """Takes one more value."""
        if cls.prometheus:
            cls.prometheus.observe(value)
        cls.set(value)
