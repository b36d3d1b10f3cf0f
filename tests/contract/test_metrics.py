"""What a scraper of ``/metrics`` gets."""

import re

import pytest

import wire
from contract.target import Serve, Target
from families import FAMILIES

mark = pytest.mark


def scrape(target: Target, path: str = "/metrics") -> str:
    """One scrape."""
    response = wire.get(target.probe_port, path)
    assert response.status == 200
    return response.text


def value(text: str, sample: str) -> float:
    """The value of a sample with its labels; 0 if there is none."""
    for line in text.splitlines():
        name, _, number = line.rpartition(" ")
        if name == sample:
            return float(number)
    return 0.0


@mark.row("metrics.media-type")
def test_metrics_are_text_for_prometheus(serve: Serve) -> None:
    response = serve.shared().probe("/metrics").response
    assert (response.header("Content-Type") or "").startswith("text/plain; version=0.0.4")


@mark.row("metrics.families")
def test_there_are_these_families_and_no_others(serve: Serve) -> None:
    target = serve.shared()
    target.get("/")
    found = dict(re.findall(r"^# TYPE (\S+) (\S+)$", scrape(target), re.MULTILINE))
    assert found == FAMILIES


@mark.row("metrics.counter")
def test_a_scrape_counts_the_answer_before_it(serve: Serve) -> None:
    target = serve.shared()
    before = value(scrape(target), "request_counter_total")
    for count in range(1, 11):
        target.get("/")
        assert value(scrape(target), "request_counter_total") == before + count


@mark.row("metrics.paths")
def test_requests_are_counted_by_method_and_path(serve: Serve) -> None:
    target = serve.shared()
    sample = 'path_requests_total{method="GET",path="/cookies"}'
    before = value(scrape(target), sample)
    target.get("/cookies")
    assert value(scrape(target), sample) == before + 1


@mark.row("metrics.paths-bounded")
def test_a_scan_makes_no_series(serve: Serve) -> None:
    target = serve.shared()
    for count in range(50):
        target.get(f"/wp-admin/{count}")
    assert scrape(target).count("wp-admin") <= 2


@mark.row("metrics.paths-route")
def test_requests_of_a_route_are_one_series(serve: Serve) -> None:
    target = serve.shared()
    for name in ("one", "two"):
        target.get(f"/named/{name}")
    text = scrape(target)
    assert "/named/one" not in text
    assert value(text, 'path_requests_total{method="GET",path="/named/(?P<name>.*)"}') >= 2


@mark.old("metrics.paths-route")
def test_each_path_was_a_series_of_its_own(serve: Serve) -> None:
    target = serve.shared()
    before = scrape(target)
    target.get("/named/one")
    target.get("/wp-admin/1")
    text = scrape(target)
    for path in ("/named/one", "/wp-admin/1"):
        sample = f'path_requests_total{{method="GET",path="{path}"}}'
        assert value(text, sample) == value(before, sample) + 1


@mark.row("metrics.histograms")
def test_times_and_sizes_are_measured(serve: Serve) -> None:
    target = serve.shared()
    first = scrape(target)
    target.get("/")
    second = scrape(target)
    for name in ("response_time_seconds", "response_size_bytes"):
        assert value(second, f"{name}_count") == value(first, f"{name}_count") + 1
        assert f'{name}_bucket{{le="0.005"}}' in second
        assert f'{name}_bucket{{le="+Inf"}}' in second
    assert value(second, "response_size_bytes_sum") == value(first, "response_size_bytes_sum") + 5
    assert value(second, "response_time_average") > 0
    assert value(second, "request_queue_length") == 0


@mark.row("metrics.info")
def test_what_the_server_is_is_told(serve: Serve) -> None:
    target = serve.shared()
    line = next(line for line in scrape(target).splitlines() if line.startswith("hurricane_info{"))
    labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
    assert set(labels) == {
        "version",
        "startup_time_seconds",
        "server_port",
        "serve_static",
        "serve_media",
        "probe_port",
        "commands",
    }
    assert labels["server_port"] == str(target.port)
    assert labels["probe_port"] == str(target.probe_port)
    assert labels["serve_static"].lower() == "false"


@mark.row("metrics.probes")
def test_probes_are_not_counted(serve: Serve) -> None:
    target = serve.shared()
    before = value(scrape(target), "request_counter_total")
    target.probe("/alive")
    assert value(scrape(target), "request_counter_total") == before


@mark.row("metrics.path")
def test_metrics_may_have_another_path(serve: Serve) -> None:
    target = serve("--metrics", "/numbers")
    assert "request_counter_total" in scrape(target, "/numbers")
    assert target.probe("/metrics").response.status == 404


@mark.row("metrics.path-tidied")
def test_the_path_of_metrics_gets_its_slash(serve: Serve) -> None:
    target = serve("--metrics", "numbers")
    assert "request_counter_total" in scrape(target, "/numbers")
    assert "request_counter_total" in scrape(target, "/numbers/")


@mark.old("metrics.path-tidied")
def test_the_path_of_metrics_got_no_slash(serve: Serve) -> None:
    target = serve("--metrics", "numbers")
    assert target.probe("/numbers").response.status == 404


@mark.row("metrics.off")
def test_without_metrics_there_is_no_such_path(serve: Serve) -> None:
    assert serve("--no-metrics").probe("/metrics").response.status == 404


@mark.row("metrics.project")
def test_metrics_of_the_project_are_there(serve: Serve) -> None:
    target = serve(settings={"ROOT_URLCONF": "agreed.counting"})
    assert [target.get(f"/change?amount={amount}").text for amount in (2, 4)] == ["2.0", "4.0"]
    text = scrape(target)
    for sample, expected in {
        'agreed_plain_total{kind="novel"}': 6,
        "agreed_orders_total": 2,
        "agreed_weight_count": 2,
        "agreed_weight_sum": 6,
        'agreed_weight_bucket{le="1.0"}': 0,
        'agreed_weight_bucket{le="10.0"}': 2,
    }.items():
        assert value(text, sample) == expected, sample


@mark.row("metrics.average")
def test_an_average_is_that_of_all_values(serve: Serve) -> None:
    target = serve(settings={"ROOT_URLCONF": "agreed.counting"})
    for amount in (2, 4, 6):
        target.get(f"/change?amount={amount}")
    assert "\nagreed_worth 4.0\n" in scrape(target)


@mark.row("metrics.calculated")
def test_what_is_calculated_is_asked_at_each_scrape(serve: Serve) -> None:
    target = serve.shared(settings={"ROOT_URLCONF": "agreed.counting"})
    assert "\nagreed_stock 12.0\n" in scrape(target)


@mark.row("metrics.awaited")
def test_what_is_asynchronous_is_awaited(serve: Serve) -> None:
    target = serve.shared(settings={"ROOT_URLCONF": "agreed.counting"})
    assert "\nagreed_waited 7.0\n" in scrape(target)


@mark.row("metrics.workers")
def test_a_scrape_is_the_same_whoever_has_served(serve: Serve) -> None:
    target = serve("--workers", "2", settings={"ROOT_URLCONF": "agreed.counting"})
    for _ in range(20):
        target.get("/change?amount=2")
    text = scrape(target)
    assert value(text, "request_counter_total") == 20
    assert value(text, "agreed_orders_total") == 20
    assert value(text, 'agreed_plain_total{kind="novel"}') == 40


@mark.row("metrics.gauge-worker")
def test_a_gauge_tells_whose_it_is(serve: Serve) -> None:
    target = serve(settings={"ROOT_URLCONF": "agreed.counting"})
    target.get("/change?amount=3")
    assert re.search(r'^agreed_gauge\{pid="w\d+"\} 3\.0$', scrape(target), re.MULTILINE)


@mark.row("metrics.created")
def test_metrics_of_several_workers_have_no_time_of_creation(serve: Serve) -> None:
    target = serve(settings={"ROOT_URLCONF": "agreed.counting"})
    target.get("/change?amount=3")
    assert "agreed_orders_created" not in scrape(target)


@mark.old("metrics.gauge-worker")
def test_a_gauge_was_that_of_the_one_process(serve: Serve) -> None:
    target = serve.shared(settings={"ROOT_URLCONF": "agreed.counting"})
    target.get("/change?amount=3")
    assert "\nagreed_gauge 3.0\n" in scrape(target)


@mark.old("metrics.created")
def test_metrics_had_a_time_of_creation(serve: Serve) -> None:
    target = serve.shared(settings={"ROOT_URLCONF": "agreed.counting"})
    target.get("/change?amount=3")
    assert "\nagreed_orders_created " in scrape(target)
