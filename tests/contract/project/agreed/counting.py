"""What the project counts itself, and the view that changes it: a URLconf for who asks for it."""

import asyncio
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path
from prometheus_client import Counter, Gauge, Histogram

from agreed.urls import urlpatterns as agreed
from hurricane.metrics import registry
from hurricane.metrics.base import (
    AverageMetric,
    CalculatedMetric,
    CounterMetric,
    ObservedMetric,
    StoredMetric,
)

PLAIN = Counter("agreed_plain", "Not registered.", ["kind"])
GAUGE = Gauge("agreed_gauge", "Not registered.")


class Orders(CounterMetric):
    """Orders."""

    code = "agreed_orders"
    prometheus = Counter(code, "Orders.")


class Worth(AverageMetric):
    """What an order is worth on average."""

    code = "agreed_worth"
    prometheus = Gauge(code, "Worth of an order.")


class Weight(ObservedMetric):
    """What a parcel weighs."""

    code = "agreed_weight"
    prometheus = Histogram(code, "Weight of a parcel.", buckets=[1.0, 10.0])


class Limit(StoredMetric):
    """A number that is stored."""

    code = "agreed_limit"


class Stock(CalculatedMetric):
    """Is asked at each scrape."""

    code = "agreed_stock"
    prometheus = Gauge(code, "Books in stock.")

    def get_value(self) -> int:
        """A number that nobody has set."""
        self.prometheus.set(12)
        return 12


class Waited(CalculatedMetric):
    """Is awaited at each scrape."""

    code = "agreed_waited"
    is_async = True
    prometheus = Gauge(code, "Set by a coroutine.")

    @classmethod
    async def get(cls) -> Any:
        """Waits a little."""
        await asyncio.sleep(0)
        cls.prometheus.set(7)


for metric in (Orders, Worth, Weight, Limit, Stock, Waited):
    registry.register(metric)


def change(request: HttpRequest) -> HttpResponse:
    """Changes every metric once."""
    amount = float(request.GET["amount"])
    PLAIN.labels("novel").inc(amount)
    GAUGE.set(amount)
    Orders.increment()
    Worth.add_value(amount)
    Weight.observe(amount)
    Limit.set(amount)
    return HttpResponse(str(Limit.get()))


urlpatterns = [path("change", change), *agreed]
