"""Says what operators and Grafana would not take of objects, in a process of its own.

``judge.py <OBJECTS >FAULTS``: both are JSON lists. The models are large, take seconds to import,
and are on the path of this process only (``packages.directory_with("operators")``). They pass over
what they do not know, so that what they give back is compared with what they got.
"""

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

MODELS = {
    "PodMonitor": "cloudcoil.models.prometheus_operator.v1",
    "PrometheusRule": "cloudcoil.models.prometheus_operator.v1",
    "ScaledObject": "cloudcoil.models.keda.v1alpha1",
}


def understood(found: Any) -> Any:
    """The object, or the dashboard, as its model says it back."""
    kind = found.get("kind")
    if kind is None:
        dashboards = import_module("grafana_foundation_sdk.models.dashboard")
        encoder = import_module("grafana_foundation_sdk.cog.encoder")
        import_module("grafana_foundation_sdk.cog.plugins").register_default_plugins()
        return json.loads(encoder.JSONEncoder().encode(dashboards.Dashboard.from_json(found)))
    model = getattr(import_module(MODELS[kind]), kind).model_validate(found, strict=True)
    return model.model_dump(mode="json", by_alias=True, exclude_unset=True)


def lost(given: Any, back: Any, path: str) -> Iterator[str]:
    """What is not there any more, or is another."""
    if isinstance(given, dict) and isinstance(back, dict):
        for name, value in given.items():
            if name in back:
                yield from lost(value, back[name], f"{path}.{name}")
            else:
                yield f"{path}.{name} is unknown"
    elif isinstance(given, list) and isinstance(back, list) and len(given) == len(back):
        for number, (one, other) in enumerate(zip(given, back, strict=True)):
            yield from lost(one, other, f"{path}[{number}]")
    elif given != back:
        yield f"{path} is {given!r}, understood as {back!r}"


def faults(found: Any) -> Iterator[str]:
    """Everything that is wrong with an object."""
    name = found.get("kind", "dashboard")
    try:
        back = understood(found)
    except ValueError as error:
        yield f"{name}: {error}"
    else:
        yield from lost(found, back, name)


if __name__ == "__main__":
    json.dump([fault for found in json.load(sys.stdin) for fault in faults(found)], sys.stdout)
