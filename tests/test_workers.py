"""Workers: one listener each, replaced when they die or stop, forked from one application."""

import os
import signal
import threading
from collections import Counter
from pathlib import Path

import pytest

from cgroup import CpuGroup
from condition import wait_until
from conftest import Starter
from serving import Server, stop
from wire import Closed, Connection, request

TWO = ("--workers", "2", "--req-queue-len", "1000")


def connection_to(server: Server, worker: int) -> Connection:
    """A kept connection that this worker answers; the kernel spreads them over the listeners."""
    for _ in range(100):
        connection = server.connect()
        if connection.get("/").header("Worker-Pid") == str(worker):
            return connection
        connection.close()
    raise AssertionError(f"worker {worker} got none of 100 connections")


def test_connections_are_spread_over_the_workers(start: Starter) -> None:
    server = start(*TWO)
    seen = Counter(server.get("/").header("Worker-Pid") for _ in range(60))
    assert {int(pid or 0) for pid in seen} == set(server.workers())


def test_the_application_is_built_once_for_all_workers(start: Starter) -> None:
    server = start(*TWO)
    assert server.lines("built") == [str(server.process.pid)]
    assert server.process.pid not in server.workers()
    for _ in range(20):
        server.get("/")
    os.kill(server.workers()[0], signal.SIGKILL)
    wait_until(lambda: server.status()["restarts"] == 1, 10)
    server.wait_for_ready()
    assert server.lines("built") == [str(server.process.pid)]


def test_a_killed_worker_is_replaced_and_its_accept_queue_survives(start: Starter) -> None:
    server = start("--workers", "1")
    (worker,) = server.workers()
    stop(worker)
    # The kernel completes these; nobody accepts them before the successor does.
    waiting = [server.connect() for _ in range(8)]
    for connection in waiting:
        connection.send(request("GET", "/"))
    os.kill(worker, signal.SIGKILL)
    answered = [connection.response() for connection in waiting]
    assert [response.body for response in answered] == [b"hello"] * 8
    assert {response.header("Worker-Pid") for response in answered} == {str(server.workers()[0])}
    assert server.workers() != [worker]


def test_a_worker_killed_by_a_real_time_signal_is_replaced(start_once: Starter) -> None:
    server = start_once("--workers", "1")
    (worker,) = server.workers()
    os.kill(worker, signal.SIGRTMIN + 2)
    wait_until(lambda: server.status()["restarts"] == 1, 10)
    server.wait_for_ready()
    assert server.workers() != [worker]
    assert f"killed by signal {signal.SIGRTMIN + 2}" in server.log()


def test_a_kill_under_load_fails_only_what_the_worker_had_in_flight(start: Starter) -> None:
    server = start(*TWO)
    victim = server.workers()[0]
    enough = threading.Event()
    outcomes: list[str] = []

    def client() -> None:
        while not enough.is_set():
            try:
                outcomes.append(str(server.get("/").status))
            except Closed:
                outcomes.append("lost")
            except ConnectionRefusedError:
                outcomes.append("refused")
            except OSError as error:
                outcomes.append(type(error).__name__)

    clients = [threading.Thread(target=client) for _ in range(4)]
    for thread in clients:
        thread.start()
    wait_until(lambda: len(outcomes) > 100, 20)
    os.kill(victim, signal.SIGKILL)
    before = len(outcomes)
    wait_until(lambda: server.status()["restarts"] >= 1, 10)
    wait_until(lambda: len(outcomes) > before + 200, 20)
    enough.set()
    for thread in clients:
        thread.join()
    failed = Counter(outcome for outcome in outcomes if outcome != "200")
    assert set(failed) <= {"lost"}, failed
    assert failed["lost"] <= len(clients)


def test_a_killed_worker_loses_no_request_of_the_other(start: Starter) -> None:
    server = start(*TWO)
    victim, other = server.workers()
    with connection_to(server, other) as connection:
        connection.send(request("GET", "/hold/gate"))
        server.wait_for_lines("gate-entered", 1)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in server.workers(), 10)
        server.put("gate-open")
        assert connection.response().body == b"released"


def test_a_stopped_worker_fails_readiness_and_recovers_on_sigcont(start: Starter) -> None:
    server = start(*TWO, "--heartbeat-timeout", "1.5s")
    victim = server.workers()[1]
    stop(victim)
    try:
        unready = wait_until(
            lambda: found if (found := server.probe("/ready").response).status != 200 else None,
            1.5 + 1,
            "unreadiness",
        )
        assert unready is not None
        assert f"worker 1 (pid {victim})" in unready.text
        assert server.probe("/alive").response.status == 200
    finally:
        os.kill(victim, signal.SIGCONT)
    server.wait_for_ready(5)
    assert server.workers()[1] == victim


def test_a_worker_that_stays_stopped_is_replaced_and_no_request_fails(start: Starter) -> None:
    server = start(*TWO, "--heartbeat-timeout", "1s")
    other, victim = server.workers()
    with connection_to(server, other) as kept:
        stop(victim)
        # New connections that fall to the stopped worker wait for its successor.
        waiting = [server.connect() for _ in range(10)]
        for connection in waiting:
            connection.send(request("GET", "/"))
        wait_until(lambda: server.probe("/ready").response.status != 200, 2, "unreadiness")

        def replaced() -> bool:
            assert kept.get("/").status == 200
            return victim not in server.workers()

        wait_until(replaced, 10)
        assert [connection.response().status for connection in waiting] == [200] * 10
    server.wait_for_ready()
    assert server.status()["restarts"] == 1


def test_workers_that_die_again_and_again_fail_liveness(start: Starter) -> None:
    server = start("--workers", "1")
    killed: set[int] = set()

    def dead_again() -> bool:
        status = server.status()
        pid = status["workers"][0]["pid"]
        if pid and pid not in killed and status["workers"][0]["state"] == "serving":
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        return server.probe("/alive").response.status == 500

    wait_until(dead_again, 30, "liveness to fail")
    assert len(killed) > 2
    assert "die" in server.probe("/alive").response.text


def test_workers_inherit_neither_database_connections_nor_the_collectors_work(
    start: Starter,
) -> None:
    server = start(*TWO)
    assert int(server.get("/frozen").text) > 10_000
    database = str(server.signals / "db")
    for worker in server.workers():
        opened = [str(path.readlink()) for path in Path(f"/proc/{worker}/fd").iterdir()]
        assert database not in opened


def test_a_view_that_runs_a_program_leaks_no_connection_to_it(start: Starter) -> None:
    server = start()
    with server.connect() as connection:
        assert connection.get("/").status == 200
        (worker,) = server.workers()
        sockets = [fd for fd in Path(f"/proc/{worker}/fd").iterdir() if is_inherited_socket(fd)]
        assert sockets == []


def is_inherited_socket(fd: Path) -> bool:
    """Whether the descriptor is a socket that a program would get."""
    if not str(fd.readlink()).startswith("socket:"):
        return False
    info = (fd.parent.parent / "fdinfo" / fd.name).read_text()
    flags = next(int(line.split()[1], 8) for line in info.splitlines() if line.startswith("flags"))
    return not flags & os.O_CLOEXEC


def test_pinned_workers_have_a_cpu_each(start: Starter) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        pytest.skip("one CPU")
    server = start("--workers", "2", "--pin", "on")
    pinned = [worker["pin"] for worker in server.status()["workers"]]
    assert len(set(pinned)) == 2
    assert set(pinned) <= set(cpus)
    assert "pinned to" in server.log()
    server = start("--workers", "2", "--pin", "off")
    assert [worker["pin"] for worker in server.status()["workers"]] == [None, None]


def test_auto_counts_the_cpus_that_the_affinity_mask_leaves(start_once: Starter) -> None:
    mask = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(mask)})
    try:
        server = start_once("--workers", "auto")
    finally:
        os.sched_setaffinity(0, mask)
    assert len(server.workers()) == 1
    assert "affinity" in server.log()


def test_auto_respects_the_quota_of_a_real_cgroup(half_a_cpu: CpuGroup) -> None:
    starter = Starter("any")
    try:
        server = starter("--workers", "auto", prefix=half_a_cpu.entry())
        assert len(server.workers()) == 1
        assert "0.5" in next(line for line in server.log().splitlines() if "workers_from" in line)
    finally:
        starter.end()
