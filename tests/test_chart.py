"""``deploy/helm``: Kubernetes takes what it renders, and its queries can be asked."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
import yaml

from manifests import (
    CHART,
    DASHBOARD,
    VERSIONS,
    Object,
    by_kind,
    helm,
    keeps_to_podsecurity_restricted,
    kubernetes_takes,
    objects,
    template,
)

# Sets of values that together render every template and every branch.
SETS = {
    "default": [],
    "hpa": [
        "migrations.enabled=true",
        "autoscaling.hpa.enabled=true",
        "monitoring.podMonitor.enabled=true",
        "monitoring.rules.enabled=true",
        "monitoring.dashboard.enabled=true",
        "monitoring.rules.labels.release=prometheus",
        "seccompLocalhostProfile=profiles/hurricane.json",
        "image.tag=2026.1",
    ],
    "keda": [
        "autoscaling.keda.enabled=true",
        "image.digest=sha256:" + "0" * 64,
        "serviceAccount.create=false",
        "migrations.enabled=true",
        "envFrom[0].secretRef.name=shop",
        "env[0].name=DJANGO_SETTINGS_MODULE",
        "env[0].value=shop.settings",
        "extraVolumes[0].name=config",
        "extraVolumes[0].configMap.name=shop",
        "extraVolumeMounts[0].name=config",
        "extraVolumeMounts[0].mountPath=/config",
        "podAnnotations.team=shop",
        "args[0]=--check-migrations",
        "networkPolicy.fromMonitoring[0].namespaceSelector.matchLabels.name=monitoring",
    ],
}


def rendered(*values: str) -> dict[str, Object]:
    """The objects by their kinds."""
    return by_kind(objects(template(*values)))


def test_the_linter_is_content() -> None:
    done = helm("lint", str(CHART), "--strict", "--set", "image.repository=shop")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_object(version: str, tmp_path: Path) -> None:
    found = [each for values in SETS.values() for each in objects(template(*values))]
    kubernetes_takes(found, version, tmp_path)


def test_the_oldest_kubernetes_that_is_tried_is_the_oldest_that_the_chart_takes() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == f">={VERSIONS[0]}.0-0"


def test_every_template_is_rendered_by_some_set() -> None:
    templates = {path.name for path in (CHART / "templates").glob("*.yaml")}
    sources = set()
    for values in SETS.values():
        sources |= set(re.findall(r"# Source: hurricane/templates/(\S+)", template(*values).stdout))
    assert sources == templates


@pytest.mark.parametrize("name", SETS)
def test_pods_keep_to_podsecurity_restricted(name: str) -> None:
    for kind, found in rendered(*SETS[name]).items():
        if kind in {"Deployment", "Job"}:
            keeps_to_podsecurity_restricted(found)


def notes(directory: Path, *values: str) -> str:
    """What helm says after an installation. Only a cluster has it say so: as an object it does."""
    chart = shutil.copytree(CHART, directory / "chart")
    text = (chart / "templates" / "NOTES.txt").read_text()
    (chart / "templates" / "notes.yaml").write_text(f"kind: Notes\ntext: |\n{indent(text, '  ')}")
    return str(by_kind(objects(template(*values, chart=chart)))["Notes"]["text"])


@pytest.mark.parametrize("name", SETS)
def test_notes_name_objects_that_there_are(name: str, tmp_path: Path) -> None:
    found = {
        f"{kind.lower()}/{each['metadata']['name']}" for kind, each in rendered(*SETS[name]).items()
    }
    said = notes(tmp_path, *SETS[name])
    named = set(re.findall(r"\b(?:deployment|job)/[\w-]+", said))
    named |= {f"horizontalpodautoscaler/{hpa}" for hpa in re.findall(r"get hpa (\S+)", said)}
    assert f"deployment/{rendered()['Deployment']['metadata']['name']}" in named
    assert ("job/" in said) == ("migrations.enabled=true" in SETS[name])
    assert named <= found
    assert "kubectl -n web " in said


def test_selectors_meet_the_pods_of_the_server_alone() -> None:
    found = rendered(*SETS["hpa"])
    server = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    job = found["Job"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        found["Deployment"]["spec"]["selector"]["matchLabels"],
        found["Service"]["spec"]["selector"],
        found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        found["PodMonitor"]["spec"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= server.items()
        assert not selector.items() <= job.items()


def test_an_autoscaler_owns_the_number_of_pods() -> None:
    assert rendered()["Deployment"]["spec"]["replicas"] == 2
    for name in ("hpa", "keda"):
        found = rendered(*SETS[name])
        assert "replicas" not in found["Deployment"]["spec"]
        scaler = found.get("HorizontalPodAutoscaler") or found["ScaledObject"]
        target = scaler["spec"]["scaleTargetRef"]["name"]
        assert target == found["Deployment"]["metadata"]["name"]


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        ("gracePeriodSeconds=60", "more than terminationGracePeriodSeconds 30"),
        ("probePort=8000", "probes need a port of their own"),
        ("autoscaling.minReplicas=11", "minReplicas is more than autoscaling.maxReplicas"),
        ("image.repository=", "image.repository is missing"),
        ("image.tagg=1", "Additional property tagg is not allowed"),
        ("port=80", "Must be greater than or equal to 1024"),
        ("user=0", "Must be greater than or equal to 1"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(value: str, cause: str) -> None:
    done = template(value)
    assert done.returncode != 0
    assert cause in done.stderr


def test_every_value_is_in_the_schema_with_a_description() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def missing(values: dict[str, Any], schema: dict[str, Any], path: str) -> Iterator[str]:
        for name, value in values.items():
            known = schema.get("properties", {}).get(name)
            if known is None or not known.get("description"):
                yield f"{path}{name}"
            elif isinstance(value, dict) and "properties" in known:
                yield from missing(value, known, f"{path}{name}.")

    assert list(missing(values, schema, "")) == []


def test_the_dashboard_is_one_that_grafana_reads() -> None:
    found = rendered(*SETS["hpa"])["ConfigMap"]
    (text,) = found["data"].values()
    dashboard = json.loads(text)
    assert dashboard == json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
