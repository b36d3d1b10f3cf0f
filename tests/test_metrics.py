"""What Prometheus is told of the server itself."""

import os
import re
import signal

import wire
from condition import wait_until
from conftest import Starter
from serving import Server
from wire import request

SAMPLE = re.compile(r"(hurricane_[a-z_]+)(?:\{(.*)\})? (\S+)")


def scrape(server: Server, port: int | None = None) -> dict[str, float]:
    """Every sample by its name and labels; fails the test where a line is no sample."""
    response = wire.get(port or server.probe_port, "/metrics/server")
    assert response.status == 200
    assert response.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    samples = {}
    for line in response.text.splitlines():
        if not line.startswith("#"):
            found = SAMPLE.fullmatch(line)
            assert found, line
            name, labels, value = found.groups()
            assert f"# TYPE {name} " in response.text
            samples[f"{name}{{{labels}}}" if labels else name] = float(value)
    return samples


def test_requests_workers_and_queue_are_counted(start: Starter) -> None:
    server = start("--workers", "2", "--threads", "2", "--req-queue-len", "100")
    server.wait_for_ready()
    before = scrape(server)
    assert before["hurricane_workers_target"] == 2
    assert before['hurricane_workers{state="serving",role="current"}'] == 2
    assert before["hurricane_worker_threads"] == 4
    assert before["hurricane_worker_busy_ratio"] == 0
    assert before['hurricane_probe_success{probe="readiness"}'] == 1
    for _ in range(3):
        server.get("/")
    server.get("/nowhere")
    held = server.connect()
    held.send(request("GET", "/hold/gate"))
    server.wait_for_lines("gate-entered", 1)
    after = scrape(server)
    assert after['hurricane_requests_total{class="2xx"}'] == 3
    assert after['hurricane_requests_total{class="4xx"}'] == 1
    assert after["hurricane_requests_in_flight"] == 1
    assert after["hurricane_worker_busy_ratio"] == 0.25
    assert after["hurricane_connections"] >= 1
    assert 0 <= after["hurricane_worker_heartbeat_age_seconds"] < 5
    assert after["hurricane_uptime_seconds"] > 0
    server.put("gate-open")
    assert held.response().status == 200


def test_a_worker_that_died_is_counted_and_sums_go_on(start: Starter) -> None:
    server = start()
    server.wait_for_ready()
    server.get("/")
    (worker,) = server.workers()
    os.kill(worker, signal.SIGKILL)
    wait_until(
        lambda: scrape(server)['hurricane_worker_restarts_total{reason="died"}'] == 1,
        10,
        "the death to be counted",
    )
    server.wait_for_ready()
    assert scrape(server)['hurricane_requests_total{class="2xx"}'] == 1


def test_a_scraper_that_asks_for_it_gets_openmetrics(start_once: Starter) -> None:
    server = start_once("--server-metrics", "/own/metrics")
    with wire.Connection(server.probe_port) as connection:
        accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
        connection.send(request("GET", "/own/metrics", accept, "Connection: close"))
        response = connection.response()
    assert response.header("Content-Type") == (
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    )
    assert response.text.endswith("# EOF\n")
    assert "# TYPE hurricane_requests counter" in response.text
    assert server.status()["server"]["metrics"] == "/own/metrics"
    assert server.probe("/metrics/server").response.status == 404


def test_the_cgroup_is_told_where_it_can_be_read(start_once: Starter) -> None:
    server = start_once()
    wait_until(
        lambda: any(server.status()["host"].values()),
        5,
        "what the cgroup says",
    )
    host = server.status()["host"]
    samples = scrape(server)
    for field, name in (
        ("memory_used_bytes", "hurricane_memory_used_bytes"),
        ("memory_limit_bytes", "hurricane_memory_limit_bytes"),
        ("cpu_throttled_periods", "hurricane_cpu_throttled_periods_total"),
    ):
        assert (host[field] is None) == (name not in samples)


def test_metrics_are_on_the_applications_port_with_the_probes(start: Starter) -> None:
    server = start(wait=False)
    server.end()
    port = server.port
    server = start("--port", str(port), "--probe-port", str(port), wait=False)
    server.port = server.probe_port = port
    server.wait_for_start()
    assert server.get("/").status == 200
    samples = scrape(server, port)
    assert samples['hurricane_requests_total{class="2xx"}'] == 1, "probes are not counted"


def test_a_pod_that_has_served_its_requests_asks_for_a_new_one(start: Starter) -> None:
    server = start("--max-lifetime", "5", "--workers", "2")
    server.wait_for_ready()
    for _ in range(5):
        server.get("/")
    for _ in range(10):
        assert server.probe("/alive").response.status == 200, "neither probes nor the fifth"
    server.get("/nowhere")
    answered = server.probe("/alive").response
    assert answered.status == 400
    assert answered.text == "6 requests have been served, more than --max-lifetime 5"
    assert server.probe("/ready").response.status == 200
    assert server.get("/").status == 200


def test_probes_on_the_applications_port_do_not_shorten_its_life(start: Starter) -> None:
    server = start(wait=False)
    server.end()
    port = server.port
    flags = ["--port", str(port), "--probe-port", str(port), "--max-lifetime", "1"]
    server = start(*flags, wait=False)
    server.port = server.probe_port = port
    server.wait_for_start()
    for _ in range(5):
        assert server.probe("/alive").response.status == 200
    server.get("/")
    assert server.probe("/alive").response.status == 200
    server.get("/")
    assert server.probe("/alive").response.status == 400
