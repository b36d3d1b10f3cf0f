"""``/metrics``: requests as the predecessor counted them, and what a project counts itself."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import wire
from condition import wait_until
from conftest import Starter
from families import AT_START
from wire import request

if TYPE_CHECKING:
    from collections.abc import Generator

    from serving import Server

SAMPLE = re.compile(r"([a-z_]+)(\{.*\})? (\S+)")

BOUNDS = [
    *("0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75"),
    *("1.0", "2.5", "5.0", "7.5", "10.0", "+Inf"),
]


def page(server: Server, path: str = "/metrics") -> str:
    """The page as it stands."""
    response = wire.get(server.probe_port, path)
    assert response.status == 200, response.text
    assert response.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    return response.text


def samples(text: str) -> dict[str, float]:
    """Every sample by its name and labels; fails the test where a line is none."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match, line
            name, labels, value = match.groups()
            assert name + (labels or "") not in found, f"{line} is there twice"
            found[name + (labels or "")] = float(value)
    return found


def scrape(server: Server) -> dict[str, float]:
    """The samples of the page now."""
    return samples(page(server))


def families(text: str) -> dict[str, str]:
    """The families of a page with their types, but for the test project's own."""
    found = [line.split()[2:] for line in text.splitlines() if line.startswith("# TYPE ")]
    names = [name for name, _ in found]
    assert len(names) == len(set(names)), "each family is there once"
    return {name: kind for name, kind in found if not name.startswith("stage_")}


def change_in_workers(server: Server, count: int) -> list[int]:
    """Changes every metric once in each of so many workers: by 10 in the first, 20 in the next."""
    connections: dict[int, wire.Connection] = {}
    for _ in range(200):
        connection = server.connect()
        connection.send(request("GET", "/metrics/read"))
        connections.setdefault(connection.response().json()["pid"], connection)
        if len(connections) == count:
            break
    assert len(connections) == count
    for index, connection in enumerate(connections.values()):
        connection.send(request("GET", f"/metrics/change?amount={10 * (index + 1)}"))
        assert connection.response().status == 200
    for connection in server.connections:
        connection.close()
    return list(connections)


def wait_for_successor(server: Server, pid: int) -> None:
    """Waits until that worker has ended and another serves in its place."""
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 20, "the end of a worker")
    wait_until(lambda: server.workers() not in ([pid], [0]), 10, "its successor")


@pytest.fixture(scope="module")
def bare(engine: str) -> Generator[Server]:
    """A server of two workers whose requests are counted from zero by one test."""
    starter = Starter(engine)
    try:
        yield starter("--workers", "2", "--req-queue-len", "1000")
    finally:
        starter.end()


def test_the_families_are_those_of_the_predecessor(start_once: Starter) -> None:
    text = page(start_once("--command", "check --tag urls"))
    assert families(text) == AT_START
    found = samples(text)
    for name in ("response_time_seconds", "response_size_bytes"):
        buckets = re.findall(rf'{name}_bucket{{le="(.*)"}} 0.0', text)
        assert buckets == BOUNDS
        assert found[f"{name}_count"] == found[f"{name}_sum"] == 0
        assert f"# HELP {name} The " in text
    for name in ("request_counter", "response_time_average", "request_queue_length"):
        assert re.search(rf"# HELP {name}(_total)? Defines ", text)
    (info,) = re.findall(r"hurricane_info{(.*)} 1.0", text)
    labels = dict(re.findall(r'(\w+)="([^"]*)"', info))
    assert list(labels) == [
        "commands",
        "probe_port",
        "serve_media",
        "serve_static",
        "server_port",
        "startup_time_seconds",
        "version",
    ]
    assert labels["commands"] == "check --tag urls"
    assert 0 < float(labels["startup_time_seconds"]) < 60


def test_a_scrape_counts_every_response_before_it_over_all_workers(bare: Server) -> None:
    before = scrape(bare)["request_counter_total"]
    for number in range(1, 301):
        assert bare.get("/books/2/").status == 200
        if number % 30 == 0:
            assert scrape(bare)["request_counter_total"] == before + number
    found = scrape(bare)
    assert found["response_time_seconds_count"] == found["request_counter_total"]
    assert found['response_time_seconds_bucket{le="+Inf"}'] == found["request_counter_total"]
    assert found['path_requests_total{method="GET",path="/books/<int:number>/"}'] >= 300
    assert found["response_time_average"] > 0
    assert found["request_queue_length"] == 0


@pytest.mark.parametrize(
    ("path", "size"),
    [
        ("/books/300000/", 300_000),
        ("/generated?size=655360", 655_360),
        ("/file?size=5000000", 5_000_000),
        ("/file?size=50", 50),
        ("/stream", 11),
    ],
)
def test_long_and_streamed_responses_are_counted_with_their_bytes(
    bare: Server, path: str, size: int
) -> None:
    bare.put("first-was-seen")
    bare.put(f"file-{size}", "f" * size)
    before = scrape(bare)
    response = bare.get(path)
    after = scrape(bare)
    assert after["request_counter_total"] == before["request_counter_total"] + 1
    grown = after["response_size_bytes_sum"] - before["response_size_bytes_sum"]
    assert grown == len(response.body) == size


def test_a_scan_does_not_make_the_page_grow(bare: Server) -> None:
    connection = bare.connect()
    before, text = scrape(bare), page(bare)
    for number in range(2000):
        connection.send(request("GET", f"/scanned/{number}"))
        assert connection.response().status == 404
    connection.send(request("GET", "/books/3/"))
    assert connection.response().status == 404
    connection.send(request("BREW", "/books/2/"))
    connection.response()
    after = scrape(bare)
    other = 'path_requests_total{method="<other>",path="<other>"}'
    assert after[other] == before.get(other, 0) + 2000
    assert after["request_counter_total"] == before["request_counter_total"] + 2002
    # One for the method and one for all others, each with its time.
    assert len(page(bare)) < len(text) + 800


def test_other_applications_count_paths_up_to_a_limit(start_once: Starter) -> None:
    server = start_once(application="wsgi_apps:dispatch")
    connection = server.connect()
    for number in range(1200):
        connection.send(request("GET", f"/hello/{number}"))
        assert connection.response().status == 200
    found = scrape(server)
    named = [name for name in found if name.startswith("path_requests_total")]
    assert 256 < len(named) <= 513
    assert sum(found[name] for name in named) == found["request_counter_total"] == 1200


def test_the_projects_metrics_are_those_of_all_workers(start: Starter) -> None:
    server = start("--workers", "2")
    server.wait_for_ready()
    change_in_workers(server, 2)
    found = scrape(server)
    assert found['stage_sold_total{kind="novel"}'] == 2
    assert found['stage_sold_total{kind="atlas"}'] == 4
    assert found["stage_plain_total"] == found["stage_orders_total"] == 2
    assert found['stage_late_total{place="here"}'] == 2, "made in the workers"
    assert found["stage_pages_count"] == found["stage_weight_count"] == 2
    assert found['stage_pages_bucket{le="100.0"}'] == 2
    assert found["stage_live"] == found["stage_weight_sum"] == 30
    assert found["stage_most"] == 20
    assert found['stage_each{pid="w0"}'] + found['stage_each{pid="w1"}'] == 30
    assert found["stage_waited"] == 7
    assert found["stage_basket"] == 15
    told = server.get("/metrics/read").json()
    assert (told["stage_orders"], told["stage_basket"]) == (2, 15)
    assert told["stage_limit"] == 20, "whoever has set it last"
    assert told["request_counter"] == found["request_counter_total"]
    assert "hurricane_stored" not in page(server)


def test_no_counter_falls_when_workers_die_and_are_replaced(start: Starter) -> None:
    server = start("--workers", "1")
    server.wait_for_ready()
    workers: list[int] = []
    for number in range(1, 4):
        workers += change_in_workers(server, 1)
        found = scrape(server)
        assert found["stage_plain_total"] == found["stage_orders_total"] == number
        assert found["request_counter_total"] == 2 * number
        assert found["stage_live"] == 10, "what the dead had is gone"
        if number == 1:
            os.kill(workers[0], signal.SIGKILL)
        elif number == 2:
            server.process.send_signal(signal.SIGHUP)
        if number < 3:
            wait_for_successor(server, workers[-1])
        server.wait_for_ready()
    assert len(set(workers)) == 3
    directories = list(Path("/dev/shm").glob(f"hurricane-metrics-*-{server.process.pid}-*"))
    assert len(directories) == 1
    server.terminate()
    assert server.wait() == 0
    assert not directories[0].exists()


def test_what_a_killed_server_has_left_is_removed_by_the_next(start_once: Starter) -> None:
    killed = start_once()
    pattern = f"hurricane-metrics-*-{killed.process.pid}-*"
    assert list(Path("/dev/shm").glob(pattern))
    family = killed.family()
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.wait()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), 10, "the end")
    start_once()
    assert not list(Path("/dev/shm").glob(pattern))


def test_a_metric_that_raises_or_hangs_costs_itself_only(start_once: Starter) -> None:
    server = start_once()
    server.put("stock", "12")
    assert scrape(server)["stage_stock"] == 12
    server.put("stock-raises")
    server.put("stock", "13")
    assert scrape(server)["stage_stock"] == 12, "the last value"
    assert server.lines_with("Metric stage_stock raised")
    assert server.lines_with("the stock is on fire")
    server.remove("stock-raises")
    server.put("stock-hangs")
    connection = wire.Connection(server.probe_port, timeout=10.0)
    with connection:
        connection.send(request("GET", "/metrics", "Connection: close"))
        server.wait_for_lines("stock-asked", 1)
        assert server.probe("/alive").response.status == 200
        assert server.probe("/startup").response.status == 200
        found = samples(connection.response().text)
    assert found["stage_waited"] == 7, "those behind it are asked"
    assert server.lines_with("Metric stage_stock takes longer")
    scrape(server)
    assert server.lines("stock-asked").count(str(server.control())) == 1, "not a second time"
    server.remove("stock-hangs")
    server.put("stock-open")
    wait_until(lambda: scrape(server)["stage_stock"] == 13, 10, "the metric to come back")


def test_the_page_has_a_path_of_its_own_or_is_not_there(start_once: Starter) -> None:
    server = start_once("--metrics", "numbers/of")
    assert page(server, "/numbers/of") != ""
    assert page(server, "/numbers/of/") != ""
    assert server.probe("/metrics").response.status == 404
    off = start_once("--no-metrics", "--max-lifetime", "1")
    assert off.probe("/metrics").response.status == 404
    off.get("/")
    off.get("/")
    assert off.probe("/alive").response.status == 400, "requests are counted all the same"
    assert not list(Path("/dev/shm").glob(f"hurricane-metrics-*-{off.process.pid}-*"))


def test_extended_it_has_the_servers_own_families_and_buckets_for_bytes(
    start_once: Starter,
) -> None:
    server = start_once("--metrics-extended")
    server.get("/books/300/")
    text = page(server)
    found = samples(text)
    assert AT_START.items() <= families(text).items()
    assert found['hurricane_requests_total{class="2xx"}'] == 1
    assert found['response_size_bytes_bucket{le="256.0"}'] == 0
    assert found['response_size_bytes_bucket{le="1024.0"}'] == 1
    assert 'response_size_bytes_bucket{le="0.005"}' not in found


def test_the_page_is_on_the_applications_port_with_the_probes(start: Starter) -> None:
    server = start(wait=False)
    server.end()
    port = server.port
    server = start("--port", str(port), "--probe-port", str(port), "--workers", "2", wait=False)
    server.port = server.probe_port = port
    server.wait_for_start()
    change_in_workers(server, 2)
    requests = scrape(server)["request_counter_total"]
    found = scrape(server)
    assert found["request_counter_total"] == requests, "scrapes are not counted"
    assert found["stage_plain_total"] == 2
    assert families(page(server)).items() >= AT_START.items()


def test_without_shared_memory_the_directory_is_elsewhere(start_once: Starter) -> None:
    chosen = start_once(wait=False)
    chosen.end()
    place = chosen.signals / "multiproc"
    place.mkdir()
    server = start_once(env={"PROMETHEUS_MULTIPROC_DIR": str(place)})
    change_in_workers(server, 1)
    assert scrape(server)["stage_plain_total"] == 1
    assert list(place.glob("hurricane-metrics-*/counter_w0.db"))


def test_the_python_interface_needs_no_settings() -> None:
    from hurricane.metrics import RequestCounterMetric, exceptions, registry
    from hurricane.metrics.base import CounterMetric

    class Visits(CounterMetric):
        code = "visits"

    registry.register(Visits)
    try:
        with pytest.raises(exceptions.MetricIdAlreadyRegistered):
            registry.register(Visits)
        Visits.increment()
        Visits.increment()
        Visits.decrement()
        assert Visits.get() == registry.get("visits").value == 1
        Visits.set(5)
        assert Visits.get() == 5
    finally:
        registry.unregister(Visits)
        registry.unregister(Visits)
    assert "visits" not in registry.metrics
    assert registry.metrics["request_counter"].get() == RequestCounterMetric.get()
