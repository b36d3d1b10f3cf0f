"""What ``deploy/`` asks Prometheus for, judged by Prometheus, its operator, KEDA and Grafana."""

import json
import re
import shutil
from pathlib import Path

import promql_parser
import pytest
import yaml

import wire
from conftest import Starter
from manifests import (
    DASHBOARD,
    KUSTOMIZE,
    alerts,
    kustomized,
    metrics_asked_for,
    objects,
    operators_fault,
    queries,
    run,
    template,
)

ALERTS = Path(__file__).with_name("alerts.yaml")
# Series that a server has only where it is limited: tests/test_container.py looks for them.
OF_LIMITS = {
    "hurricane_cpu_periods_total",
    "hurricane_cpu_throttled_periods_total",
    "hurricane_memory_limit_bytes",
    "hurricane_worker_memory_limit_bytes",
    "hurricane_worker_memory_max_bytes",
}


@pytest.fixture(scope="module")
def promtool() -> str:
    """Prometheus' own judge of rules and metrics."""
    found = shutil.which("promtool")
    if found is None:
        pytest.fail("promtool is missing; install Debian's prometheus, as `cargo xtask test` does")
    return found


def test_prometheus_takes_the_alerts_and_raises_them(promtool: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": "hurricane", "rules": alerts()}]})
    )
    shutil.copy(ALERTS, tmp_path)
    for words in (["check", "rules", "--lint=all", "--lint-fatal"], ["test", "rules"]):
        file = "rules.yaml" if words[0] == "check" else ALERTS.name
        done = run(promtool, *words, tmp_path / file)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_raised_by_a_test() -> None:
    tested = set(re.findall(r'alertname="(\w+)"', ALERTS.read_text()))
    assert tested == {rule["alert"] for rule in alerts()}


def test_alerts_say_what_is_wrong_and_what_to_do() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert len(rule["annotations"]["description"]) > 40
        assert rule["annotations"]["summary"]


def test_operators_and_grafana_know_every_field() -> None:
    parts = ("podMonitor", "rules", "dashboard")
    values = [f"monitoring.{part}.enabled=true" for part in parts]
    found = objects(template("autoscaling.keda.enabled=true", *values))
    for name in ("keda", "monitoring"):
        found += kustomized(KUSTOMIZE / "overlays" / name)
    # And what they would not take, so that the judges are seen to judge.
    scaler = next(each for each in found if each["kind"] == "ScaledObject")
    misspelt = {**scaler, "spec": {**scaler["spec"], "maxReplicas": 3}}
    nameless = {**scaler, "spec": {**scaler["spec"], "scaleTargetRef": {}}}
    dashboard = json.loads(DASHBOARD.read_text())
    misspelt_dashboard = {**dashboard, "pannels": []}
    faults = operators_fault([*found, dashboard, misspelt, nameless, misspelt_dashboard])
    assert faults.pop(0) == "ScaledObject.spec.maxReplicas is unknown"
    assert "spec.scaleTargetRef.name" in faults.pop(0)
    assert faults == ["dashboard.pannels is unknown"]


def test_queries_ask_for_metrics_that_a_server_has(promtool: str, start_once: Starter) -> None:
    server = start_once()
    assert wire.get(server.port, "/").status == 200
    scraped = wire.get(server.probe_port, "/metrics/server").text
    series = set(re.findall(r"^(hurricane_\w+)", scraped, re.MULTILINE))
    for query in queries():
        promql_parser.parse(query)
    asked = metrics_asked_for()
    assert len(asked) > 15
    assert asked - OF_LIMITS <= series
    done = run(promtool, "check", "metrics", input=scraped)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
