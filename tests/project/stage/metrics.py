"""What the project counts itself, and the view that changes it."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import JsonResponse
from prometheus_client import Counter, Gauge, Histogram

from hurricane.metrics import registry
from hurricane.metrics.base import (
    AverageMetric,
    CalculatedMetric,
    CounterMetric,
    ObservedMetric,
    StoredMetric,
)
from stage import views

if TYPE_CHECKING:
    from django.http import HttpRequest

SOLD = Counter("stage_sold", "Books that were sold.", ["kind"])
PLAIN = Counter("stage_plain", "A counter without labels.")
PAGES = Histogram("stage_pages", "Pages of a book.", buckets=[100, 1000])
LIVE = Gauge("stage_live", "What live workers have.", multiprocess_mode="livesum")
MOST = Gauge("stage_most", "The most that a worker has had.", multiprocess_mode="max")
EACH = Gauge("stage_each", "What each worker has.")


class Orders(CounterMetric):
    """Orders."""

    code = "stage_orders"
    prometheus = Counter(code, "Orders.")


class Basket(AverageMetric):
    """What an order is worth on average."""

    code = "stage_basket"
    prometheus = Gauge(code, "Worth of an order.")


class Weight(ObservedMetric):
    """What a parcel weighs."""

    code = "stage_weight"
    prometheus = Histogram(code, "Weight of a parcel.")


class Limit(StoredMetric):
    """A number that one worker sets."""

    code = "stage_limit"


class Stock(CalculatedMetric):
    """Reads a file when it is asked; a test makes it raise or hang."""

    code = "stage_stock"
    prometheus = Gauge(code, "Books in stock.")

    def get_value(self) -> int:
        if (settings.SIGNALS / "stock-raises").exists():
            raise RuntimeError("the stock is on fire")
        if (settings.SIGNALS / "stock-hangs").exists():
            views.note("stock-asked", str(os.getpid()))
            views.wait_for("stock-open")
        path = settings.SIGNALS / "stock"
        value = int(path.read_text()) if path.exists() else 0
        self.prometheus.set(value)
        return value


class Waited(CalculatedMetric):
    """Is awaited."""

    code = "stage_waited"
    is_async = True
    prometheus = Gauge(code, "Set by a coroutine.")

    @classmethod
    async def get(cls) -> Any:
        await asyncio.sleep(0)
        cls.prometheus.set(7)


for metric in (Orders, Basket, Weight, Limit, Stock, Waited):
    registry.register(metric)

late: list[Counter] = []


def change(request: HttpRequest) -> JsonResponse:
    """Changes every metric once; the amount is in the query."""
    amount = float(request.GET.get("amount", "1"))
    SOLD.labels("novel").inc()
    SOLD.labels("atlas").inc(2)
    PLAIN.inc()
    PAGES.observe(amount)
    LIVE.set(amount)
    MOST.set(amount)
    EACH.set(amount)
    Orders.increment()
    Basket.add_value(amount)
    Weight.observe(amount)
    Limit.set(amount)
    if not late:
        late.append(Counter("stage_late", "Made in a worker.", ["place"]))
    late[0].labels("here").inc()
    return JsonResponse({"pid": os.getpid()})


def read(_request: HttpRequest) -> JsonResponse:
    """What Python sees of the metrics, in any worker."""
    codes = ("stage_orders", "stage_basket", "stage_limit", "request_counter")
    return JsonResponse({"pid": os.getpid(), **{code: registry.get(code).get() for code in codes}})
