"""Metrics of requests, and those that a project adds.

Nothing here needs configured settings, so that settings modules may import it.
"""

from hurricane.metrics.registry import MetricsRegistry
from hurricane.metrics.requests import (
    HealthMetric,
    InfoMetrics,
    PathCounterMetric,
    ReadinessMetric,
    RequestCounterMetric,
    RequestQueueLengthMetric,
    ResponseSizeMetric,
    ResponseTimeAverageMetric,
    ResponseTimeMetric,
    StartupTimeMetric,
)

__all__ = [
    "HealthMetric",
    "InfoMetrics",
    "MetricsRegistry",
    "PathCounterMetric",
    "ReadinessMetric",
    "RequestCounterMetric",
    "RequestQueueLengthMetric",
    "ResponseSizeMetric",
    "ResponseTimeAverageMetric",
    "ResponseTimeMetric",
    "StartupTimeMetric",
    "registry",
]

registry = MetricsRegistry()

registry.register(RequestCounterMetric)
registry.register(RequestQueueLengthMetric)
registry.register(ResponseTimeAverageMetric)
registry.register(StartupTimeMetric)
registry.register(HealthMetric)
registry.register(ReadinessMetric)
registry.register(ResponseTimeMetric)
registry.register(ResponseSizeMetric)
registry.register(PathCounterMetric)
registry.register(InfoMetrics)
