"""``deploy/kustomize``: kubectl builds it, Kubernetes takes it; it is what the chart renders."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from manifests import (
    KUSTOMIZE,
    ROOT,
    VERSIONS,
    Object,
    by_kind,
    keeps_to_podsecurity_restricted,
    kubernetes_takes,
    kustomized,
    objects,
    template,
)

OVERLAYS = ("hpa", "io-uring", "keda", "migrations", "monitoring")
# The values that have the chart render what the components are.
VALUES = {
    "hpa": ["autoscaling.hpa.enabled=true"],
    "io-uring": ["seccompLocalhostProfile=profiles/hurricane-io-uring.json"],
    "keda": ["autoscaling.keda.enabled=true"],
    "migrations": ["migrations.enabled=true"],
    "monitoring": [
        f"monitoring.{part}.enabled=true" for part in ("podMonitor", "rules", "dashboard")
    ],
}
# The selector of the chart's alerts: only the chart knows the names of its pods.
PODS = 'namespace="web", pod=~"shop-hurricane-[a-z0-9]+-[a-z0-9]+"'
# What only Helm, or only Argo CD, knows.
OWN_LABELS = {"helm.sh/chart", "app.kubernetes.io/managed-by"}


@pytest.fixture(scope="module")
def built() -> dict[str, dict[str, Object]]:
    """Every overlay, and the base."""
    places = {name: KUSTOMIZE / "overlays" / name for name in OVERLAYS}
    places["base"] = KUSTOMIZE / "base"
    return {name: by_kind(kustomized(place)) for name, place in places.items()}


Built = Mapping[str, Mapping[str, Object]]


def test_every_component_has_an_overlay_that_is_built() -> None:
    for parent in ("components", "overlays"):
        assert tuple(sorted(path.name for path in (KUSTOMIZE / parent).iterdir())) == OVERLAYS


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_object(built: Built, version: str, tmp_path: Path) -> None:
    found = [each for overlay in built.values() for each in overlay.values()]
    kubernetes_takes(found, version, tmp_path)


def test_pods_keep_to_podsecurity_restricted(built: Built) -> None:
    for overlay in built.values():
        for kind in {"Deployment", "Job"} & set(overlay):
            keeps_to_podsecurity_restricted(overlay[kind])


def test_an_autoscaler_owns_the_number_of_pods(built: Built) -> None:
    assert [name for name in built if "replicas" not in built[name]["Deployment"]["spec"]] == [
        "hpa",
        "keda",
    ]


def documented() -> str:
    """The kustomization that docs/kubernetes.md shows: a shop in the namespace web."""
    section = (ROOT / "docs" / "kubernetes.md").read_text().split("\n## With kustomize\n")[1]
    (found, *_) = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    return str(found)


def without_keda(text: str) -> str:
    """The same with the other autoscaler."""
    kustomization = yaml.safe_load(text.replace("components/keda", "components/hpa"))
    del kustomization["patches"]
    return yaml.safe_dump(kustomization)


def plain(found: Object) -> Object:
    """An object without what differs on purpose."""
    for labels in (found["metadata"]["labels"], template_labels(found)):
        for name in OWN_LABELS:
            labels.pop(name, None)
    if found["kind"] == "Job":
        # When it runs is Helm's or Argo CD's.
        del found["metadata"]["annotations"]
    if found["kind"] == "ConfigMap":
        (found["data"],) = found["data"].values()
    if found["kind"] == "PrometheusRule":
        for rule in found["spec"]["groups"][0]["rules"]:
            rule["expr"] = rule["expr"].replace(f"{PODS}, ", "").replace(f"{{{PODS}}}", "")
    return found


def template_labels(found: Object) -> dict[str, str]:
    """Those of its pods, if it has some."""
    labels: dict[str, str] = (
        found.get("spec", {}).get("template", {}).get("metadata", {}).get("labels", {})
    )
    return labels


@pytest.mark.parametrize("scaler", ["keda", "hpa"])
def test_what_the_documentation_shows_is_what_the_chart_renders(
    scaler: str, tmp_path: Path
) -> None:
    text = documented()
    (tmp_path / "hurricane").symlink_to(ROOT)
    (tmp_path / "kustomization.yaml").write_text(text if scaler == "keda" else without_keda(text))
    parts = [part for part in OVERLAYS if part not in {"keda", "hpa"} - {scaler}]
    values = [value for part in parts for value in VALUES[part]]
    ours = by_kind(kustomized(tmp_path))
    theirs = by_kind(objects(template("image.tag=2026.1", *values)))
    assert set(ours) == set(theirs)
    for kind, found in ours.items():
        assert plain(found) == plain(theirs[kind]), kind
