"""Holds one instance of each registered metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hurricane.metrics.exceptions import MetricIdAlreadyRegistered

if TYPE_CHECKING:
    from hurricane.metrics.base import HurricaneMetric


class MetricsRegistry:
    """Metrics by their code; ``get`` of each is called when ``/metrics`` is scraped."""

    def __init__(self) -> None:
        self.metrics: dict[str, Any] = {}

    def register(self, metric_cls: type[HurricaneMetric]) -> None:
        """Registers a metric's class."""
        if metric_cls.code in self.metrics:
            raise MetricIdAlreadyRegistered(f"Metric ID ({metric_cls.code}) is already registered.")
        self.metrics[metric_cls.code] = metric_cls()

    def unregister(self, metric_cls: type[HurricaneMetric]) -> None:
        """Forgets a metric; nothing happens when it is not registered."""
        self.metrics.pop(metric_cls.code, None)

    def get(self, code: str) -> Any:  # noqa: ANN401 - metrics of projects
        """The metric with that code; ``KeyError`` without one."""
        return self.metrics[code]
