"""Workers that cannot go on: the log says what they were doing, and why, before they are killed."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from condition import wait_until
from conftest import Starter
from serving import Server, stop
from wire import request

ONE_THREAD = ("--threads", "1", "--request-timeout", "1s", "--req-queue-len", "1000")
GIVEN_UP = "worker cannot go on"
DIED = "worker died and is replaced"


def send(server: Server, path: str) -> None:
    """Sends a request whose answer nobody waits for."""
    server.connect().send(request("GET", path))


def record(server: Server, sentence: str = GIVEN_UP, deadline: float = 15.0) -> str:
    """The log from the first line with this sentence to the next line with a time."""

    def found() -> str:
        lines = server.log().splitlines()
        begin = next((at for at, line in enumerate(lines) if sentence in line), None)
        if begin is None:
            return ""
        rest = lines[begin + 1 :]
        end = next((at for at, line in enumerate(rest) if line.startswith("20")), None)
        return "" if end is None else "\n".join([lines[begin], *rest[:end]])

    return wait_until(found, deadline, sentence)


def age(server: Server) -> int:
    """For how many milliseconds the longest-running request of worker 0 has run."""
    milliseconds: int | None = server.status()["workers"][0]["oldest_request_age_ms"]
    return milliseconds or 0


def replaced(server: Server, worker: int) -> None:
    """Waits until that worker is gone and all others and its successor serve."""
    wait_until(lambda: worker not in server.workers(), 15, "the worker to be replaced")
    server.wait_for_ready()


def test_threads_that_sleep_are_shown_with_their_requests_and_stacks(start: Starter) -> None:
    server = start("--threads", "2", "--request-timeout", "1s", "--workers", "1")
    (worker,) = server.workers()
    send(server, "/block/first?token=secret")
    send(server, "/block/second")
    server.wait_for_lines("second-blocked", 1)
    text = record(server)
    assert "cause=blocked in I/O or a lock" in text
    for gate in ("first", "second"):
        assert f"GET /block/{gate} for " in text
    head, *frames = text.splitlines()
    assert head.count("/block/") == 2
    assert sum(line.startswith("GET /block/") for line in frames) == 2
    assert sum(line.endswith(" in block") for line in frames) == 2
    assert "secret" not in server.log()
    assert "in <module>" not in text, "what started the server is not the loop's work"
    replaced(server, worker)
    assert server.get("/").body == b"hello"


def test_the_other_workers_never_notice(start: Starter) -> None:
    server = start(*ONE_THREAD, "--workers", "2")
    with server.connect() as kept:
        other = int(kept.get("/").header("Worker-Pid") or 0)
        victim = next(pid for pid in server.workers() if pid != other)
        while not server.lines("gate-blocked"):
            # Until one falls to the victim; what falls to the other is answered.
            with server.connect() as probing:
                if probing.get("/").header("Worker-Pid") == str(victim):
                    probing.send(request("GET", "/block/gate"))
                    server.wait_for_lines("gate-blocked", 1)

        def is_replaced() -> bool:
            assert kept.get("/").status == 200
            return victim not in server.workers()

        wait_until(is_replaced, 15)
        assert int(kept.get("/").header("Worker-Pid") or 0) == other
    assert f"pid={victim}" in record(server)


def test_a_view_that_spins_is_busy_in_python(start_once: Starter) -> None:
    server = start_once(*ONE_THREAD)
    (worker,) = server.workers()
    send(server, "/spin")
    text = record(server)
    assert "cause=busy in Python" in text
    assert "GET /spin for " in text
    assert " in spin" in text
    replaced(server, worker)


@pytest.mark.parametrize(
    ("path", "view", "doing"),
    [
        ("/gil?seconds=20", "hold_interpreter", "sleeps"),
        ("/compute?count=10000000000", "compute", "computes"),
    ],
)
def test_a_view_that_keeps_the_interpreter_is_named(
    start_once: Starter, path: str, view: str, doing: str
) -> None:
    server = start_once("--threads", "4", "--request-timeout", "1s")
    (worker,) = server.workers()
    send(server, path)
    text = record(server)
    assert "cause=waiting for the interpreter lock held by thread " in text
    assert f"which {doing} in C" in text
    assert f"GET {path.partition('?')[0]} for " in text
    assert f" in {view}" in text
    replaced(server, worker)


def test_a_stopped_worker_is_said_to_be_stopped(start: Starter) -> None:
    server = start("--heartbeat-timeout", "1s")
    (worker,) = server.workers()
    send(server, "/block/gate")
    server.wait_for_lines("gate-blocked", 1)
    stop(worker)
    wait_until(lambda: "stopped by a signal" in server.probe("/ready").response.text, 10)
    text = record(server)
    assert "cause=stopped by a signal" in text
    assert "GET /block/gate for " in text
    assert "stacks=none: a stopped process writes none" in text
    replaced(server, worker)


def test_a_worker_that_recovers_in_time_is_not_spoken_of(start_once: Starter) -> None:
    server = start_once("--threads", "1", "--request-timeout", "2s")
    (worker,) = server.workers()
    with server.connect() as connection:
        for gate in ("first", "second"):
            connection.send(request("GET", f"/hold/{gate}"))
            server.wait_for_lines(f"{gate}-entered", 1)
            # More than half of the time is over: the supervisor has begun to look.
            wait_until(lambda: age(server) > 1_200, 5)
            server.put(f"{gate}-open")
            assert connection.response().body == b"released"
    assert server.workers() == [worker]
    assert GIVEN_UP not in server.log()


def test_a_killed_worker_leaves_the_names_of_its_requests(start: Starter) -> None:
    server = start("--threads", "2")
    (worker,) = server.workers()
    send(server, "/block/gate?token=secret")
    server.wait_for_lines("gate-blocked", 1)
    os.kill(worker, signal.SIGKILL)
    text = record(server, DIED)
    assert "killed by SIGKILL" in text
    assert 'requests="GET /block/gate for ' in text
    assert "secret" not in server.log()
    replaced(server, worker)


def test_requests_that_the_grace_period_cuts_are_named(start_once: Starter) -> None:
    server = start_once("--workers", "2", "--grace-period", "300ms")
    send(server, "/block/gate")
    server.wait_for_lines("gate-blocked", 1)
    server.terminate()
    assert server.wait() == 4
    (line,) = server.lines_with("requests are cut")
    assert 'requests="GET /block/gate for ' in line


def test_a_crash_leaves_the_stack_of_the_view(start_once: Starter) -> None:
    server = start_once()
    (worker,) = server.workers()
    send(server, "/crash")
    text = record(server, DIED)
    assert "killed by SIGSEGV" in text
    assert "GET /crash for " in text
    assert "Fatal Python error: Segmentation fault" in text
    assert " in crash" in text
    replaced(server, worker)


def test_faulthandler_stays_the_applications(start_once: Starter) -> None:
    server = start_once(*ONE_THREAD, env={"PYTHONFAULTHANDLER": "1"})
    send(server, "/block/gate")
    assert " in block" in record(server)
    server.wait_for_ready()
    send(server, "/crash")
    died = wait_until(lambda: server.lines_with("killed by SIGSEGV"), 15)
    assert "stacks=" not in died[0]
    assert "Fatal Python error: Segmentation fault" in server.log(), "on stderr, as wanted"


def test_json_has_the_stacks_in_one_field(start_once: Starter) -> None:
    server = start_once(*ONE_THREAD, "--log-format", "json")
    send(server, "/block/gate")
    line = wait_until(lambda: next(iter(server.lines_with(GIVEN_UP)), None), 15)
    assert line is not None
    said = json.loads(line)
    assert said["cause"].startswith("blocked in I/O or a lock")
    assert said["requests"].startswith("GET /block/gate for ")
    assert "views.py" in said["stacks"]
    assert " in block\n" in said["stacks"]


@contextmanager
def group(controller: str) -> Iterator[Path]:
    """A real cgroup without limits yet, where we may make one."""
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    parent = Path("/sys/fs/cgroup" if unified else f"/sys/fs/cgroup/{controller}")
    group = parent / f"hurricane-stuck-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    try:
        yield group
    finally:
        wait_until(lambda: (group / "cgroup.procs").read_text() == "", 10, "an empty cgroup")
        group.rmdir()


def enter(group: Path) -> tuple[str, ...]:
    """Starts what follows inside the cgroup."""
    return ("sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(group))


def set_quota(group: Path, percent: int | None) -> None:
    """Leaves the processes in the cgroup so much of one CPU."""
    quota = None if percent is None else str(percent * 1000)
    if (group / "cpu.max").exists():
        (group / "cpu.max").write_text(f"{quota or 'max'} 100000")
    else:
        (group / "cpu.cfs_quota_us").write_text(quota or "-1")


def test_a_worker_without_cpu_quota_is_said_to_be_so() -> None:
    starter = Starter("any")
    with group("cpu") as cpu:
        try:
            # The supervisor has no more CPU than the worker, and must not take that for a freeze.
            flags = (*ONE_THREAD, "--workers", "1", "--heartbeat-timeout", "30s")
            server = starter(*flags, prefix=enter(cpu))
            (worker,) = server.workers()
            send(server, "/spin")
            server.wait_for_lines("spinning", 1)
            set_quota(cpu, 8)
            text = record(server, deadline=30)
            set_quota(cpu, None)
            assert "cause=out of CPU quota in " in text, text
            assert " in spin" in text
            replaced(server, worker)
        finally:
            set_quota(cpu, None)
            starter.end()


def test_a_worker_that_the_kernel_killed_for_its_memory_is_said_to_be_so() -> None:
    starter = Starter("any")
    with group("memory") as memory:
        limits = [memory / name for name in ("memory.max", "memory.limit_in_bytes")]
        limit = next((path for path in limits if path.exists()), None)
        if limit is None:
            pytest.skip("the cgroup has no memory controller")
        limit.write_text(str(256 << 20))
        try:
            flags = ("--workers", "1", "--max-worker-memory", "off")
            server = starter(*flags, prefix=enter(memory))
            (worker,) = server.workers()
            send(server, f"/allocate?size={1 << 30}")
            died = wait_until(lambda: server.lines_with(DIED), 30)
            assert "killed by the kernel: out of memory" in died[0]
            assert 'requests="GET /allocate for ' in died[0]
            replaced(server, worker)
        finally:
            starter.end()
