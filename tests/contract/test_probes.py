"""What the three probes answer."""

import re
import sqlite3
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import kubelet
import wire
from contract.target import Serve, Target
from wire import request

PROBES = ("/startup", "/alive", "/ready")
mark = pytest.mark


def ask(target: Target, method: str, path: str) -> wire.Response:
    """One request to the probe port."""
    with wire.Connection(target.probe_port, timeout=target.patience) as connection:
        connection.send(request(method, path, "Connection: close"))
        return connection.response(method)


def starting(serve: Serve) -> Target:
    """A server that runs a command before it serves."""
    target = serve("--command", "errand wait gate", wait=False)
    target.wait_for_lines("gate-entered", 1)
    return target


@contextmanager
def told(target: Target, *what: str) -> Generator[Target]:
    """A shared server whose checks are told something, and all well again behind it."""
    for name in what:
        target.put(name)
    try:
        yield target
    finally:
        for name in what:
            target.remove(name)
        for path in PROBES:
            target.wait_for_status(path, 200)


def bereft(serve: Serve, tmp_path: Path, **settings: object) -> Target:
    """A server that has lost its database before it was asked for it."""
    place = tmp_path / "place"
    place.mkdir()
    target = serve(settings={"DATABASES": {"default": sqlite(place / "db")}, **settings})
    place.rename(tmp_path / "lost")
    target.wait_for_status("/ready", 500)
    return target


def sqlite(path: Path) -> dict[str, str]:
    """A database of the served project."""
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}


@mark.row("probes.starting")
def test_no_probe_succeeds_before_the_server_serves(serve: Serve) -> None:
    target = starting(serve)
    assert [target.probe(path).response.status for path in PROBES] == [400] * 3
    target.put("gate-open")
    for path in PROBES:
        target.wait_for_status(path, 200)


@mark.row("probes.starting-says-what-for")
def test_before_the_server_serves_a_probe_says_what_is_awaited(serve: Serve) -> None:
    target = starting(serve)
    assert all('running command "errand"' in target.probe(path).response.text for path in PROBES)


@mark.old("probes.starting-says-what-for")
def test_before_the_server_served_probes_said_nothing(serve: Serve) -> None:
    target = starting(serve)
    assert [target.probe(path).response.body for path in PROBES] == [b""] * 3


@mark.row("probes.startup-body")
def test_startup_tells_how_long_it_took(serve: Serve) -> None:
    response = serve.shared().probe("/startup").response
    assert response.status == 200
    words, _, seconds = response.text.rpartition(" ")
    assert words == "Startup was finished"
    assert 0 < float(seconds) < 60


@mark.row("probes.alive-body")
def test_liveness_is_alive_before_the_first_request(serve: Serve) -> None:
    response = serve().probe("/alive").response
    assert (response.status, response.body) == (200, b"alive")


@mark.row("probes.alive-average")
def test_liveness_tells_the_average_once_there_is_one(serve: Serve) -> None:
    target = serve.shared()
    target.get("/")
    body = target.probe("/alive").response.text
    assert re.fullmatch(r"Average response time: \d+\.\d\dms Request queue size: \d+ Rx", body)


@mark.row("probes.alive-without-metrics")
def test_liveness_tells_no_average_without_metrics(serve: Serve) -> None:
    target = serve("--no-metrics")
    target.get("/")
    response = target.probe("/alive").response
    assert (response.status, response.body) == (200, b"alive")


@mark.row("probes.ready-body")
def test_readiness_says_nothing_when_it_succeeds(serve: Serve) -> None:
    response = serve.shared().probe("/ready").response
    assert (response.status, response.body) == (200, b"")


@mark.row("probes.get-and-post")
@mark.parametrize("method", ["GET", "POST"])
def test_probes_take_get_and_post(serve: Serve, method: str) -> None:
    assert [ask(serve.shared(), method, path).status for path in PROBES] == [200] * 3


@mark.row("probes.head")
def test_probes_take_head(serve: Serve) -> None:
    assert [ask(serve.shared(), "HEAD", path).status for path in PROBES] == [200] * 3


@mark.old("probes.head")
def test_probes_took_no_head(serve: Serve) -> None:
    assert [ask(serve.shared(), "HEAD", path).status for path in PROBES] == [405] * 3


@mark.row("probes.other-methods")
@mark.parametrize("method", ["PUT", "OPTIONS", "DELETE"])
def test_probes_take_no_other_method(serve: Serve, method: str) -> None:
    assert [ask(serve.shared(), method, path).status for path in PROBES] == [405] * 3


@mark.row("probes.slash")
def test_a_probe_may_end_in_one_slash(serve: Serve) -> None:
    target = serve.shared()
    assert [ask(target, "GET", path + "/").status for path in PROBES] == [200] * 3
    assert [ask(target, "GET", path + "//").status for path in PROBES] == [404] * 3


@mark.row("probes.other-paths")
def test_nothing_else_is_on_the_probe_port(serve: Serve) -> None:
    assert [ask(serve.shared(), "GET", path).status for path in ("/", "/readyx")] == [404] * 2


@mark.row("probes.length")
def test_probes_announce_their_length(serve: Serve) -> None:
    for path in PROBES:
        response = serve.shared().probe(path).response
        assert response.header("Content-Length") == str(len(response.body))
        assert response.header("Date")


@mark.row("probes.cache-control")
def test_probes_are_not_to_be_kept_by_caches(serve: Serve) -> None:
    assert "no-store" in (serve.shared().probe("/alive").response.header("Cache-Control") or "")


@mark.old("probes.cache-control")
def test_caches_were_told_nothing(serve: Serve) -> None:
    assert serve.shared().probe("/alive").response.header("Cache-Control") is None


@mark.row("probes.content-type")
def test_probes_are_plain_text(serve: Serve) -> None:
    media = serve.shared().probe("/alive").response.header("Content-Type")
    assert media == "text/plain; charset=utf-8"


@mark.old("probes.content-type")
def test_probes_were_html(serve: Serve) -> None:
    media = serve.shared().probe("/alive").response.header("Content-Type")
    assert media == "text/html; charset=UTF-8"


@mark.row("probes.check-error")
@mark.parametrize(
    ("purpose", "path", "other"),
    [("readiness", "/ready", "/alive"), ("liveness", "/alive", "/ready")],
)
def test_a_failing_check_fails_the_probe_of_its_tag(
    serve: Serve, purpose: str, path: str, other: str
) -> None:
    with told(serve.shared(), f"{purpose}-fails") as target:
        assert target.wait_for_status(path, 500).text.startswith("check error")
        assert target.probe(other).response.status == 200
        assert target.probe("/startup").response.status == 200


@mark.row("probes.check-named")
def test_the_check_that_fails_is_named(serve: Serve) -> None:
    with told(serve.shared(), "readiness-fails") as target:
        body = target.wait_for_status("/ready", 500).text
        assert body == "check error: agreed.checks.readiness: (agreed.E001) told to fail"


@mark.old("probes.check-named")
def test_the_check_that_fails_was_not_named(serve: Serve) -> None:
    with told(serve.shared(), "readiness-fails") as target:
        assert target.wait_for_status("/ready", 500).text == "check error"


@mark.row("probes.check-logged")
def test_the_check_that_fails_is_logged(serve: Serve) -> None:
    with told(serve.shared(), "readiness-fails") as target:
        target.wait_for_status("/ready", 500)
        target.wait_for_text("told to fail")


@mark.old("probes.check-logged")
def test_the_check_that_fails_was_not_logged(serve: Serve) -> None:
    target = serve.shared()
    with told(target, "readiness-fails"):
        target.wait_for_status("/ready", 500)
    assert not target.lines_with("told to fail")


@mark.row("probes.check-debug")
def test_with_debug_a_probe_says_all_that_a_check_says(serve: Serve) -> None:
    with told(serve.shared(settings={"DEBUG": True}), "readiness-fails") as target:
        body = target.wait_for_status("/ready", 500).text
        assert body.startswith(
            "django check error: SystemCheckError: System check identified some issues:\n\n"
            "ERRORS:\n?: (agreed.E001) told to fail\n"
        )


@mark.row("probes.check-debug-named")
def test_with_debug_the_check_is_named_as_well(serve: Serve) -> None:
    with told(serve.shared(settings={"DEBUG": True}), "readiness-fails") as target:
        body = target.wait_for_status("/ready", 500).text
        assert body.endswith("told to fail\n\ncheck: agreed.checks.readiness")


@mark.old("probes.check-debug-named")
def test_with_debug_the_check_was_not_named(serve: Serve) -> None:
    with told(serve.shared(settings={"DEBUG": True}), "readiness-fails") as target:
        body = target.wait_for_status("/ready", 500).text
        assert body == (
            "django check error: SystemCheckError: System check identified some issues:\n\n"
            "ERRORS:\n?: (agreed.E001) told to fail\n"
        )


@mark.row("probes.debug-flag")
def test_the_flag_debug_lets_probes_say_all(serve: Serve) -> None:
    target = serve("--debug")
    target.put("readiness-raises")
    body = target.wait_for_status("/ready", 500).text
    assert "Traceback (most recent call last)" in body
    assert "ValueError: a check of the tests raised" in body


@mark.row("probes.warning")
def test_a_warning_fails_no_probe(serve: Serve) -> None:
    with told(serve.shared(), "readiness-warns") as target:
        with told(target, "liveness-fails"):
            target.wait_for_status("/alive", 500)
        assert [target.probe(path).response.status for path in PROBES] == [200] * 3


@mark.row("probes.database-error")
def test_a_database_that_fails_a_check_has_its_own_word(serve: Serve) -> None:
    with told(serve.shared(), "readiness-loses-database") as target:
        assert target.wait_for_status("/ready", 500).text.startswith("database error")


@mark.row("probes.database-named")
def test_the_database_that_fails_is_named(serve: Serve, tmp_path: Path) -> None:
    body = bereft(serve, tmp_path).probe("/ready").response.text
    assert body == 'database error: database: database "default": unable to open database file'


@mark.old("probes.database-named")
def test_the_database_that_failed_was_not_named(serve: Serve, tmp_path: Path) -> None:
    assert bereft(serve, tmp_path).probe("/ready").response.text == "database error"


@mark.row("probes.database-debug")
def test_with_debug_a_probe_says_all_that_the_database_says(serve: Serve, tmp_path: Path) -> None:
    body = bereft(serve, tmp_path, DEBUG=True).probe("/ready").response.text
    assert body.startswith("django database error: ")
    assert "unable to open database file" in body


@mark.row("probes.database-liveness")
def test_a_lost_database_does_not_restart_the_pod(serve: Serve, tmp_path: Path) -> None:
    assert bereft(serve, tmp_path).probe("/alive").response.status == 200


@mark.old("probes.database-liveness")
def test_a_lost_database_restarted_the_pod(serve: Serve, tmp_path: Path) -> None:
    assert bereft(serve, tmp_path).wait_for_status("/alive", 500).text == "database error"


def whose_database_dies(serve: Serve, tmp_path: Path) -> Target:
    """A server that was ready when its database was lost."""
    place = tmp_path / "place"
    place.mkdir()
    sqlite3.connect(place / "db").close()
    target = serve(settings={"DATABASES": {"default": sqlite(place / "db")}})
    target.wait_for_ready()
    place.rename(tmp_path / "lost")
    return target


@mark.row("probes.database-dies")
def test_a_database_that_dies_later_is_noticed(serve: Serve, tmp_path: Path) -> None:
    target = whose_database_dies(serve, tmp_path)
    target.wait_for_status("/ready", 500)


@mark.old("probes.database-dies")
def test_a_database_that_died_later_was_not_noticed(serve: Serve, tmp_path: Path) -> None:
    target = whose_database_dies(serve, tmp_path)
    assert [target.probe("/ready").response.status for _ in range(3)] == [200] * 3


@mark.row("probes.database-aliases")
def test_every_database_is_looked_at(serve: Serve, tmp_path: Path) -> None:
    databases = {"default": sqlite(tmp_path / "db"), "second": sqlite(Path("/nonexistent/db"))}
    target = serve(settings={"DATABASES": databases}, wait=False)
    assert '"second"' in target.wait_for_status("/ready", 500).text


@mark.old("probes.database-aliases")
def test_only_the_default_database_was_looked_at(serve: Serve, tmp_path: Path) -> None:
    databases = {"default": sqlite(tmp_path / "db"), "second": sqlite(Path("/nonexistent/db"))}
    target = serve(settings={"DATABASES": databases})
    assert target.probe("/ready").response.status == 200


@mark.row("probes.no-databases")
def test_a_project_without_databases_is_ready(serve: Serve) -> None:
    target = serve(settings={"DATABASES": {"default": {}}})
    target.wait_for_ready()
    assert target.probe("/alive").response.status == 200


@mark.old("probes.no-databases")
def test_a_project_without_databases_was_never_ready(serve: Serve) -> None:
    target = serve(settings={"DATABASES": {"default": {}}})
    assert [target.probe(path).response.status for path in ("/ready", "/alive")] == [500] * 2


@mark.row("probes.other-exception")
def test_a_check_that_raises_fails_its_probe(serve: Serve) -> None:
    with told(serve.shared(), "readiness-raises") as target:
        target.wait_for_status("/ready", 500)
        assert target.probe("/alive").response.status == 200


@mark.row("probes.other-exception-named")
def test_what_a_check_raises_is_said(serve: Serve) -> None:
    with told(serve.shared(), "readiness-raises") as target:
        body = target.wait_for_status("/ready", 500).text
        assert (
            body == "check error: agreed.checks.readiness: ValueError: a check of the tests raised"
        )


def fill(serve: Serve) -> wire.Response:
    """What readiness says when the queue is full."""
    target = serve("--req-queue-len", "4")
    target.wait_for_ready()
    for count in range(4):
        target.connect().send(request("GET", "/hold/gate"))
        target.wait_for_lines("gate-entered", count + 1)
    response = target.wait_for_status("/ready", 400)
    assert target.probe("/alive").response.status == 200
    target.put("gate-open")
    target.wait_for_ready()
    return response


@mark.row("probes.queue-full")
def test_a_full_queue_is_not_ready(serve: Serve) -> None:
    fill(serve)


@mark.row("probes.queue-length-said")
def test_a_full_queue_tells_its_length(serve: Serve) -> None:
    assert fill(serve).text == "request queue length 4 is at or over 4"


@mark.old("probes.queue-length-said")
def test_a_full_queue_told_nothing(serve: Serve) -> None:
    assert fill(serve).body == b""


@mark.row("probes.queue-zero")
def test_a_queue_of_no_length_is_never_ready(serve: Serve) -> None:
    target = serve("--req-queue-len", "0")
    target.wait_for_status("/ready", 400)
    assert target.probe("/alive").response.status == 200


def with_five_requests(serve: Serve) -> Target:
    """A server that works on them, and may have six."""
    target = serve("--req-queue-len", "6", env={"HURRICANE_THREADS": "8"})
    target.wait_for_ready()
    for count in range(5):
        target.connect().send(request("GET", "/hold/gate"))
        target.wait_for_lines("gate-entered", count + 1)
    return target


@mark.row("probes.queue-counts-requests")
def test_requests_are_counted_as_they_are(serve: Serve) -> None:
    target = with_five_requests(serve)
    assert target.probe("/ready").response.status == 200
    target.put("gate-open")


@mark.row("probes.queue-idle-connections")
def test_idle_connections_are_no_requests(serve: Serve) -> None:
    target = serve()
    target.wait_for_ready()
    assert [target.connect().get("/").status for _ in range(20)] == [200] * 20
    assert target.probe("/ready").response.status == 200


@mark.old("probes.queue-counts-requests")
def test_a_request_was_counted_more_than_once(serve: Serve) -> None:
    target = with_five_requests(serve)
    target.wait_for_status("/ready", 400)
    target.put("gate-open")


@mark.old("probes.queue-idle-connections")
def test_idle_connections_were_counted_as_requests(serve: Serve) -> None:
    target = serve.shared()
    with ExitStack() as idle:
        connections = [idle.enter_context(target.connect()) for _ in range(20)]
        assert [connection.get("/").status for connection in connections] == [200] * 20
        target.wait_for_status("/ready", 400)
    target.wait_for_ready()


@mark.row("probes.tag-hurricane")
def test_the_documented_tag_decides_readiness(serve: Serve) -> None:
    with told(serve.shared(), "documented-fails") as target:
        assert "agreed.checks.documented" in target.wait_for_status("/ready", 500).text


@mark.old("probes.tag-hurricane")
def test_the_documented_tag_decided_nothing(serve: Serve) -> None:
    with told(serve.shared(), "documented-fails") as target:
        # Another check that is told later shows that this one has run since.
        with told(target, "readiness-fails"):
            target.wait_for_status("/ready", 500)
        assert target.probe("/ready").response.status == 200


@mark.row("probes.untagged")
def test_a_check_without_a_tag_decides_no_probe(serve: Serve) -> None:
    with told(serve.shared(), "start-fails") as target:
        with told(target, "readiness-fails"):
            target.wait_for_status("/ready", 500)
        assert [target.probe(path).response.status for path in PROBES] == [200] * 3


@mark.row("probes.hanging-check")
def test_a_check_that_hangs_holds_no_probe(serve: Serve) -> None:
    target = serve()
    target.wait_for_ready()
    target.put("liveness-hangs")
    try:
        assert kubelet.probe(target.probe_port, "/alive").response.status == 200
        assert kubelet.probe(target.probe_port, "/ready").response.status == 200
    finally:
        target.remove("liveness-hangs")


@mark.row("probes.checks-in-background")
def test_a_probe_runs_no_check(serve: Serve) -> None:
    target = serve(env={"HURRICANE_CHECK_INTERVAL": "1h"})
    target.wait_for_ready()
    target.put("readiness-fails")
    assert [target.probe("/ready").response.status for _ in range(3)] == [200] * 3


@mark.old("probes.checks-in-background")
def test_a_probe_ran_its_checks(serve: Serve) -> None:
    target = serve.shared()
    for path, check in (("/ready", "readiness-fails"), ("/alive", "liveness-fails")):
        target.put(check)
        assert target.probe(path).response.status == 500
        target.remove(check)
        assert target.probe(path).response.status == 200
