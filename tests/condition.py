"""Waiting for a condition with a deadline; no test sleeps for a fixed time instead."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.01


def wait_until(condition: Callable[[], T], deadline: float, what: str = "") -> T:
    """Asks until the condition holds, for at most ``deadline`` seconds; returns its value."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            name = what or getattr(condition, "__name__", repr(condition))
            raise AssertionError(f"{name} did not hold within {deadline} s; last value {value!r}")
        time.sleep(POLL_SECONDS)
