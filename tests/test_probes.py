"""What a kubelet is told, and that it is told in time."""

import os
import signal
import time

import pytest

import wire
from condition import wait_until
from conftest import Starter
from serving import Server, stop
from wire import Response, request


def wait_for(server: Server, path: str, status: int, deadline: float = 5.0) -> Response:
    """Waits until a probe answers with this status."""

    def answer() -> Response | None:
        response = server.probe(path).response
        return response if response.status == status else None

    found = wait_until(answer, deadline, f"{path} to answer {status}")
    assert found is not None
    return found


def test_probes_answer_in_one_write_with_length_and_close(start: Starter) -> None:
    server = start()
    for path in ("/startup", "/ready", "/alive", "/status"):
        server.wait_for_ready()
        answered = server.probe(path)
        assert answered.response.status == 200, path
        assert answered.in_one_piece
        assert answered.response.header("Connection") == "close"
        assert answered.response.header("Content-Length") == str(len(answered.response.body))
        assert "no-store" in (answered.response.header("Cache-Control") or "")
        assert len(answered.response.head) + len(answered.response.body) < 10 * 1024


def test_probes_say_what_they_always_said(start: Starter) -> None:
    server = start()
    server.wait_for_ready()
    assert server.probe("/startup").response.text.startswith("Startup was finished ")
    assert server.probe("/alive").response.text.startswith("alive")
    assert server.probe("/ready").response.body == b""


def test_probes_take_a_slash_at_the_end_head_and_post_and_nothing_else(start: Starter) -> None:
    server = start()
    server.wait_for_ready()
    assert server.probe("/ready/").response.status == 200
    assert server.probe("/readyx").response.status == 404
    for method, status in [("POST", 200), ("HEAD", 200), ("DELETE", 405)]:
        with wire.Connection(server.probe_port) as connection:
            connection.send(request(method, "/alive", "Connection: close"))
            assert connection.response(method).status == status


def test_probe_paths_are_literal_and_tidied(start: Starter) -> None:
    server = start("--liveness-probe", "al.ve", "--readiness-probe", "//health/ready")
    server.wait_for_start()
    assert server.probe("/al.ve").response.status == 200
    assert server.probe("/alXve").response.status == 404
    wait_for(server, "/health/ready", 200)


def test_probes_on_the_applications_own_port(start: Starter) -> None:
    server = start("--workers", "2", wait=False)
    server.end()
    port = server.port
    server = start("--workers", "2", "--port", str(port), "--probe-port", str(port), wait=False)
    server.port = server.probe_port = port
    server.wait_for_start()
    server.wait_for_ready()
    assert server.get("/").body == b"hello"
    assert len(server.status()["workers"]) == 2
    with server.connect() as connection:
        assert connection.get("/ready").status == 200
        assert connection.get("/").body == b"hello"


def test_no_probe_leaves_the_port_closed(start: Starter) -> None:
    server = start("--no-probe", wait=False)

    def serves() -> bool:
        try:
            return server.get("/").status == 200
        except OSError:
            return False

    wait_until(serves, 20)
    with pytest.raises(ConnectionRefusedError):
        wire.Connection(server.probe_port)


@pytest.mark.parametrize(
    ("told", "path", "other", "said"),
    [
        ("readiness-fails", "/ready", "/alive", "told to fail"),
        ("documented-fails", "/ready", "/alive", "told to fail"),
        ("liveness-fails", "/alive", "/ready", "told to fail"),
        ("readiness-raises", "/ready", "/alive", "a check of the tests raised"),
        ("readiness-loses-database", "/ready", "/alive", "database error"),
    ],
)
def test_a_failing_check_fails_its_probe_and_is_named(
    start: Starter, told: str, path: str, other: str, said: str
) -> None:
    server = start()
    server.wait_for_ready()
    server.put(told)
    response = wait_for(server, path, 500)
    name = told.partition("-")[0]
    assert f"stage.checks.{name}" in response.text
    assert said in response.text
    assert server.probe(other).response.status == 200
    assert server.probe("/startup").response.status == 200
    server.remove(told)
    wait_for(server, path, 200)


def test_a_warning_fails_nothing(start: Starter) -> None:
    server = start()
    server.wait_for_ready()
    server.put("readiness-warns")

    def warned() -> bool:
        checks = {check["name"]: check for check in server.status()["checks"]}
        return bool(checks["stage.checks.readiness"]["status"] == "warned")

    wait_until(warned, 5)
    assert server.probe("/ready").response.status == 200


def test_a_check_that_hangs_times_out_and_delays_no_probe(start: Starter) -> None:
    server = start("--check-timeout", "0.5s")
    server.wait_for_ready()
    server.put("readiness-hangs")
    response = wait_for(server, "/ready", 500)
    assert "stage.checks.readiness" in response.text
    for path in ("/ready", "/alive", "/startup", "/status"):
        assert server.probe(path).seconds < 0.25
    # The other checks go on.
    server.put("liveness-fails")
    wait_for(server, "/alive", 500)
    server.remove("readiness-hangs")
    wait_for(server, "/ready", 200)


def test_a_lost_database_fails_readiness_alone_and_its_return_is_noticed(start: Starter) -> None:
    server = start(wait=False)
    server.end()
    place = server.put("database")
    place.unlink()
    place.mkdir()
    server = start(env={"STAGE_DATABASE": str(place / "db.sqlite3")})
    server.wait_for_ready()
    place.rename(place.with_name("lost"))
    response = wait_for(server, "/ready", 500)
    assert "database error" in response.text
    assert '"default"' in response.text
    assert server.probe("/alive").response.status == 200
    place.with_name("lost").rename(place)
    wait_for(server, "/ready", 200)


def test_a_full_queue_fails_readiness_with_its_length(start: Starter) -> None:
    server = start("--req-queue-len", "3", "--workers", "2")
    server.wait_for_ready()
    held = [server.connect() for _ in range(3)]
    for count, connection in enumerate(held):
        connection.send(request("GET", "/hold/gate"))
        server.wait_for_lines("gate-entered", count + 1)
    response = wait_for(server, "/ready", 400)
    assert "request queue length 3" in response.text
    assert server.probe("/alive").response.status == 200
    server.put("gate-open")
    assert [connection.response().body for connection in held] == [b"released"] * 3
    wait_for(server, "/ready", 200)


def test_idle_connections_do_not_count_as_requests(start: Starter) -> None:
    server = start("--req-queue-len", "3")
    server.wait_for_ready()
    idle = [server.connect() for _ in range(20)]
    assert [connection.get("/").status for connection in idle] == [200] * 20
    assert server.probe("/ready").response.status == 200
    assert server.status()["totals"]["connections"] >= 20


def test_a_worker_whose_threads_are_all_stuck_fails_readiness_and_is_replaced(
    start: Starter,
) -> None:
    server = start("--threads", "2", "--request-timeout", "1s", "--req-queue-len", "100")
    server.wait_for_ready()
    (worker,) = server.workers()
    held = [server.connect() for _ in range(2)]
    for connection in held:
        connection.send(request("GET", "/hold/gate"))
    server.wait_for_lines("gate-entered", 2)
    wait_until(lambda: server.workers() != [worker], 15, "the worker to be replaced")
    wait_for(server, "/ready", 200, 10)
    assert server.get("/").status == 200


def test_status_shows_the_whole_picture(start: Starter) -> None:
    server = start("--workers", "2")
    server.wait_for_ready()
    for _ in range(10):
        server.get("/")
    status = server.status()
    assert status["phase"] == "serving"
    assert status["probes"]["readiness"]["status"] == 200
    assert [worker["index"] for worker in status["workers"]] == [0, 1]
    for worker in status["workers"]:
        assert worker["state"] == "serving"
        assert worker["heartbeat_age_ms"] < 2000
        assert worker["engine"] == ("io-uring" if start.engine == "io-uring" else "epoll")
        assert {"queued", "running", "connections", "pin", "pid", "capacity"} <= set(worker)
    assert sum(worker["requests"] for worker in status["workers"]) >= 10
    names = {check["name"] for check in status["checks"]}
    assert {"database", "stage.checks.readiness", "stage.checks.liveness"} <= names
    for check in status["checks"]:
        assert check["status"] == "passed"
        assert check["age_ms"] < 5000
        assert "duration_ms" in check


@pytest.mark.alone
def test_probes_answer_while_a_view_holds_the_interpreter(start: Starter) -> None:
    server = start("--workers", "2", "--heartbeat-timeout", "1s", "--req-queue-len", "1000")
    server.wait_for_ready()
    with server.connect() as connection:
        connection.send(request("GET", "/gil?seconds=4"))
        (holder,) = server.wait_for_lines("gil-held", 1)
        end = time.monotonic() + 3.5
        answered = [server.probe("/ready")]
        while time.monotonic() < end:
            answered += [server.probe(path) for path in ("/ready", "/alive", "/startup")]
        assert connection.response().body == b"released"
    times = sorted(probe.seconds for probe in answered)
    # The machine that runs the tests may itself pause; one probe in a hundred may show it.
    assert times[len(times) * 99 // 100] < 0.05
    unready = [probe.response.text for probe in answered if probe.response.status == 400]
    assert unready, "readiness did not notice"
    assert all(f"(pid {holder})" in text for text in unready)
    assert all(probe.response.status in (200, 400) for probe in answered)
    wait_for(server, "/ready", 200)
    assert int(holder) in server.workers()


@pytest.mark.alone
def test_probes_answer_while_every_worker_is_stopped(start: Starter) -> None:
    server = start("--workers", "2")
    server.wait_for_ready()
    workers = server.workers()
    for worker in workers:
        stop(worker)
    try:
        for _ in range(20):
            assert server.probe("/alive").seconds < 0.25
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGCONT)


def test_as_it_was_a_probe_waits_for_its_checks_and_holds_no_other(start_once: Starter) -> None:
    server = start_once("--compat", "1.6", "--check-timeout", "60")
    server.put("liveness-hangs")
    with wire.Connection(server.probe_port) as waiting:
        waiting.send(request("GET", "/alive"))
        assert [server.probe(path).response.status for path in ("/ready", "/startup")] == [200] * 2
        server.put("liveness-fails")
        server.remove("liveness-hangs")
        assert waiting.response().status in {200, 500}
    assert server.probe("/alive").response.body == b"check error"
    server.remove("liveness-fails")
    assert server.probe("/alive").response.status == 200


def test_as_it_was_a_probe_waits_no_longer_than_a_check_may_take(start_once: Starter) -> None:
    server = start_once("--compat", "1.6", "--check-timeout", "1")
    server.put("liveness-hangs")
    # One that asks while the run goes on hears of it at once.
    assert [server.probe("/alive").response.status for _ in range(2)] == [500] * 2
    server.remove("liveness-hangs")
    wait_for(server, "/alive", 200)
