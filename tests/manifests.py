"""What ``deploy/`` has for Kubernetes, rendered by helm and kustomize, and who judges it."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from packages import directory_with

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "deploy" / "helm"
KUSTOMIZE = ROOT / "deploy" / "kustomize"
ADAPTER = ROOT / "deploy" / "prometheus-adapter.yaml"
DASHBOARD = CHART / "dashboards" / "hurricane.json"
IMAGE = "image.repository=registry.example/shop"
# From the oldest that the chart says it runs on to the newest whose schemas there are.
VERSIONS = ("1.27", "1.30", "1.34", "1.37")
OF_OPERATORS = {"PodMonitor", "PrometheusRule", "ScaledObject"}
# KEDA's since 2.17; the models are those of 2.16.
NEWER_THAN_MODELS = ["ScaledObject.spec.fallback.behavior is unknown"]

Object = dict[str, Any]
Ended = subprocess.CompletedProcess[str]


def run(*words: str | Path, **options: Any) -> Ended:
    """Runs a program to its end, which is soon."""
    return subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=300, **options
    )


def helm(*words: str) -> Ended:
    """Runs the helm that the requirements bring."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    found = shutil.which("helm", path=path)
    assert found, "helm is missing: pip install -r requirements/dev.txt"
    return run(found, *words)


def template(*values: str, chart: Path = CHART) -> Ended:
    """Renders the chart with these values, as the release `shop` in the namespace `web`."""
    given = [word for value in (IMAGE, *values) for word in ("--set", value)]
    return helm("template", "shop", str(chart), "--namespace", "web", *given)


def kubectl() -> Path:
    """The kubectl of a package for AWS, where it is in an archive in an archive."""
    place = directory_with("kubectl", "--no-deps")
    program = place / "kubectl"
    if not program.exists():
        (package,) = place.glob("aws_cdk/*/_jsii/*.tgz")
        with tarfile.open(package) as outer:
            layer = outer.extractfile("package/lib/layer.zip")
            assert layer
            content = io.BytesIO(layer.read())
        new = place / f"kubectl-{os.getpid()}"
        with zipfile.ZipFile(content) as inner:
            new.write_bytes(inner.read("kubectl/kubectl"))
        new.chmod(0o755)
        new.replace(program)
    return program


def objects(done: Ended) -> list[Object]:
    """What was rendered."""
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def by_kind(found: list[Object]) -> dict[str, Object]:
    """The objects by their kinds, of which there is one each."""
    kinds = [each["kind"] for each in found]
    assert len(set(kinds)) == len(kinds)
    return dict(zip(kinds, found, strict=True))


def kustomized(directory: Path) -> list[Object]:
    """The objects of a kustomization; what is deprecated fails it."""
    done = run(kubectl(), "kustomize", directory)
    assert done.stderr == ""
    return objects(done)


def kubernetes_takes(found: list[Object], version: str, directory: Path) -> None:
    """Fails when the schemas of that Kubernetes refuse one; knows no operator's objects."""
    known = [each for each in found if each["kind"] not in OF_OPERATORS]
    file = directory / "objects.yaml"
    file.write_text(yaml.safe_dump_all(known))
    done = run(sys.executable, "-m", "kubernetes_validate", "--strict", "-k", version, file)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert said.count(" passed for resource ") == len(known), said


def operators_fault(found: list[Object]) -> list[str]:
    """What operators and Grafana do not know or take of their objects and dashboards."""
    known = [each for each in found if each.get("kind") in {None, *OF_OPERATORS}]
    done = run(
        sys.executable,
        Path(__file__).with_name("judge.py"),
        input=json.dumps(known),
        env={**os.environ, "PYTHONPATH": str(directory_with("operators"))},
    )
    assert done.returncode == 0, done.stderr
    return [fault for fault in json.loads(done.stdout) if fault not in NEWER_THAN_MODELS]


def keeps_to_podsecurity_restricted(found: Object) -> None:
    """Fails when pods of a Deployment or Job may more than that."""
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


def alerts() -> list[Object]:
    """The rules of the chart."""
    found = by_kind(objects(template("monitoring.rules.enabled=true")))["PrometheusRule"]
    return [rule for group in found["spec"]["groups"] for rule in group["rules"]]


def queries() -> Iterator[str]:
    """All that is asked of Prometheus: by alerts, autoscalers, the dashboard."""
    yield from (rule["expr"] for rule in alerts())
    scaler = by_kind(objects(template("autoscaling.keda.enabled=true")))["ScaledObject"]
    for trigger in scaler["spec"]["triggers"]:
        yield trigger["metadata"]["query"]
    for rule in yaml.safe_load(ADAPTER.read_text())["rules"]["custom"]:
        yield rule["seriesQuery"]
        # What the adapter puts in their place.
        placeholders = {"Series": "hurricane_worker_busy_ratio", "LabelMatchers": 'pod="p"'}
        query = rule["metricsQuery"].replace("<<.GroupBy>>", "pod")
        for name, value in placeholders.items():
            query = query.replace(f"<<.{name}>>", value)
        yield query
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            # What Grafana puts in their place.
            expression = re.sub(r"\$__(rate_)?interval", "5m", target["expr"])
            yield re.sub(r"\$(namespace|pod)", ".*", expression)


def metrics_asked_for() -> set[str]:
    """The metrics in all queries, and those that the autoscaler of Kubernetes names."""
    scaler = by_kind(objects(template("autoscaling.hpa.enabled=true")))["HorizontalPodAutoscaler"]
    asked = {metric["pods"]["metric"]["name"] for metric in scaler["spec"]["metrics"]}
    for query in queries():
        asked |= set(re.findall(r"\bhurricane_\w+", query))
    return asked
