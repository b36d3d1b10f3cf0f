"""``deploy/helm``: Kubernetes takes what it renders, and its queries can be asked."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "deploy" / "helm"
DASHBOARD = CHART / "dashboards" / "hurricane.json"
IMAGE = "image.repository=registry.example/shop"
# The oldest that the chart says it runs on and that is still looked after, and a new one.
VERSIONS = ("1.30", "1.34")
OF_OPERATORS = {"PodMonitor", "PrometheusRule", "ScaledObject"}
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


def helm(*words: str) -> subprocess.CompletedProcess[str]:
    """Runs the helm that the requirements bring."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    found = shutil.which("helm", path=path)
    assert found, "helm is missing: pip install -r requirements/dev.txt"
    return subprocess.run([found, *words], capture_output=True, text=True, check=False, timeout=60)


def template(*values: str) -> subprocess.CompletedProcess[str]:
    """Renders the chart with these values."""
    given = [word for value in (IMAGE, *values) for word in ("--set", value)]
    return helm("template", "shop", str(CHART), "--namespace", "web", *given)


def rendered(*values: str) -> dict[str, dict[str, Any]]:
    """The objects by their kinds, of which there is one each."""
    done = template(*values)
    assert done.returncode == 0, done.stderr
    objects = [found for found in yaml.safe_load_all(done.stdout) if found]
    kinds = [found["kind"] for found in objects]
    assert len(set(kinds)) == len(kinds)
    return dict(zip(kinds, objects, strict=True))


def test_the_linter_is_content() -> None:
    done = helm("lint", str(CHART), "--strict", "--set", IMAGE)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", SETS)
def test_kubernetes_takes_every_object(name: str, version: str, tmp_path: Path) -> None:
    done = template(*SETS[name])
    assert done.returncode == 0, done.stderr
    objects = [found for found in yaml.safe_load_all(done.stdout) if found]
    known = [found for found in objects if found["kind"] not in OF_OPERATORS]
    file = tmp_path / "objects.yaml"
    file.write_text(yaml.safe_dump_all(known))
    words = [sys.executable, "-m", "kubernetes_validate", "--strict", "-k", version, str(file)]
    judged = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    said = judged.stdout + judged.stderr
    assert judged.returncode == 0, said
    assert said.count(" passed for resource ") == len(known), said


def test_every_template_is_rendered_by_some_set() -> None:
    templates = {path.name for path in (CHART / "templates").glob("*.yaml")}
    sources = set()
    for values in SETS.values():
        sources |= set(re.findall(r"# Source: hurricane/templates/(\S+)", template(*values).stdout))
    assert sources == templates


@pytest.mark.parametrize("name", SETS)
def test_pods_keep_to_podsecurity_restricted(name: str) -> None:
    for kind, found in rendered(*SETS[name]).items():
        if kind not in {"Deployment", "Job"}:
            continue
        pod = found["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"]["type"] in {"RuntimeDefault", "Localhost"}
        for container in pod["containers"]:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["readOnlyRootFilesystem"] is True
            assert own["capabilities"] == {"drop": ["ALL"]}


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


def queries() -> Iterator[str]:
    """All that is asked of Prometheus."""
    for group in rendered(*SETS["hpa"])["PrometheusRule"]["spec"]["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for trigger in rendered(*SETS["keda"])["ScaledObject"]["spec"]["triggers"]:
        yield trigger["metadata"]["query"]
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            # What Grafana puts in their place.
            expression = re.sub(r"\$__(rate_)?interval", "5m", target["expr"])
            yield re.sub(r"\$(namespace|pod)", ".*", expression)


def test_queries_can_be_asked_and_ask_for_metrics_that_there_are() -> None:
    documented = set(re.findall(r"`(hurricane_\w+)", (ROOT / "README.md").read_text()))
    asked: set[str] = set()
    for query in queries():
        promql_parser.parse(query)
        asked |= set(re.findall(r"\bhurricane_\w+", query))
    assert len(asked) > 15
    assert asked <= documented


def test_alerts_say_what_is_wrong_and_what_to_do() -> None:
    for group in rendered(*SETS["hpa"])["PrometheusRule"]["spec"]["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in {"warning", "critical"}
            assert len(rule["annotations"]["description"]) > 40
            assert rule["annotations"]["summary"]


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
