"""Checks that do what files in the signals' directory tell them to."""

import time
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as CheckWarning
from django.db import OperationalError


def told(purpose: str) -> list[CheckMessage]:
    """Looks for a file named after the purpose and what shall happen."""
    present = {path.name for path in settings.SIGNALS.glob(f"{purpose}-*")}
    if f"{purpose}-hangs" in present:
        while (settings.SIGNALS / f"{purpose}-hangs").exists():
            time.sleep(0.02)
    if f"{purpose}-raises" in present:
        raise ValueError("a check of the tests raised")
    if f"{purpose}-loses-database" in present:
        raise OperationalError("the server closed the connection")
    if f"{purpose}-fails" in present:
        return [Error("told to fail", id="agreed.E001")]
    if f"{purpose}-warns" in present:
        return [CheckWarning("told to warn", id="agreed.W001")]
    return []


@register("readiness", deploy=True)
def readiness(**_kwargs: Any) -> list[CheckMessage]:
    """Decides ``/ready``."""
    return told("readiness")


@register("liveness", deploy=True)
def liveness(**_kwargs: Any) -> list[CheckMessage]:
    """Decides ``/alive``."""
    return told("liveness")


@register("hurricane", deploy=True)
def documented(**_kwargs: Any) -> list[CheckMessage]:
    """Carries the tag that the documentation of old named."""
    return told("documented")


@register()
def at_start(**_kwargs: Any) -> list[CheckMessage]:
    """Runs before the start."""
    return told("start")
