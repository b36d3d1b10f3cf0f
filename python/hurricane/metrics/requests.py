"""The server's metrics of requests.

The server itself counts requests and puts them on the page. These classes tell the same numbers to
a project, over all workers; outside of a running server they hold what was put into them.
"""

from __future__ import annotations

from typing import Any

from hurricane import _core
from hurricane.metrics.base import (
    AverageMetric,
    CalculatedMetric,
    CounterMetric,
    ObservedMetric,
    StoredMetric,
)


class RequestCounterMetric(CounterMetric):
    """How many requests were answered."""

    code = "request_counter"

    @classmethod
    def get(cls) -> Any:  # noqa: ANN401 - as its base
        """So many."""
        counted = _core.counted()
        return super().get() if counted is None else counted["requests"]


class ResponseTimeAverageMetric(AverageMetric):
    """How long an answer takes on average, in milliseconds."""

    code = "response_time_average"

    @classmethod
    def get(cls) -> Any:  # noqa: ANN401 - as its base
        """So long."""
        counted = _core.counted()
        if counted is None:
            return super().get()
        return counted["seconds"] * 1000 / max(counted["answers"], 1)


class RequestQueueLengthMetric(CalculatedMetric):
    """How many requests wait or run."""

    code = "request_queue_length"

    def get_value(self) -> int:
        """So many."""
        counted = _core.counted()
        return 0 if counted is None else counted["in_flight"]


class StartupTimeMetric(StoredMetric):
    """How long the start has taken, in seconds; nothing before it has ended."""

    code = "startup_time"

    @classmethod
    def get(cls) -> Any:  # noqa: ANN401 - as its base
        """So long."""
        counted = _core.counted()
        return super().get() if counted is None else counted["startup_seconds"]


class HealthMetric(StoredMetric):
    """Holds what a project sets; the liveness probe has its answer without it."""

    code = "health"


class ReadinessMetric(StoredMetric):
    """Holds what a project sets; the readiness probe has its answer without it."""

    code = "readiness"


class ResponseTimeMetric(ObservedMetric):
    """The time to generate a response in seconds."""

    code = "response_time_seconds"


class ResponseSizeMetric(ObservedMetric):
    """The response size in bytes."""

    code = "response_size_bytes"


class PathCounterMetric(CounterMetric):
    """The number of requests to a specific path."""

    code = "path_requests_total"

    @classmethod
    def increment(cls, method: str = "", path: str = "") -> None:  # noqa: ARG003 - an interface
        """Counts one more, whatever its path: the server counts by path itself."""
        cls.add(1)


class InfoMetrics(StoredMetric):
    """What is said of the server."""

    code = "hurricane"
