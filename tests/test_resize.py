"""The number of workers follows a CPU limit that changes while they serve."""

import os

import pytest

from cgroup import CpuGroup, MemoryGroup
from condition import wait_until
from conftest import Starter
from serving import Server
from test_recycle import traffic_to

# A change is followed within 5 s. What is more is for a machine that has other work.
FOLLOWED_SECONDS = 5.0

needs_two_cpus = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU")


def follows(server: Server, workers: int) -> None:
    """Waits until so many workers serve, and no other."""

    def does() -> bool:
        status = server.status()
        serving = [worker["state"] for worker in status["workers"]] == ["serving"] * workers
        return serving and status["workers_target"] == workers

    wait_until(does, FOLLOWED_SECONDS, f"{workers} workers")


@needs_two_cpus
def test_a_resized_server_loses_no_request(half_a_cpu: CpuGroup, start: Starter) -> None:
    server = start("--workers", "auto", "--req-queue-len", "1000", prefix=half_a_cpu.entry())
    resize(server, half_a_cpu, [(2, 2), (1, 1)])


@needs_two_cpus
@pytest.mark.slow
def test_ten_resizes_lose_no_request(half_a_cpu: CpuGroup, start: Starter) -> None:
    server = start("--workers", "auto", "--req-queue-len", "1000", prefix=half_a_cpu.entry())
    resize(server, half_a_cpu, [(2, 2), (1, 1)] * 5)


def test_the_memory_of_a_worker_follows_the_memory_limit(
    gibibyte: MemoryGroup, start_once: Starter
) -> None:
    server = start_once("--workers", "2", prefix=gibibyte.entry())

    def share() -> float:
        return (server.status()["worker_memory_limit_bytes"] or 0) / (1 << 20)

    # Half of nine tenths, less what the other processes of the server have.
    wait_until(lambda: 350 < share() < 461, 10, "the share of a gibibyte")
    gibibyte.limit(512)
    wait_until(lambda: 120 < share() < 231, 10, "the share of half a gibibyte")


def resize(server: Server, group: CpuGroup, steps: list[tuple[int, int]]) -> None:
    """Changes the limit to so many CPUs under load, which makes so many workers."""
    follows(server, 1)
    with traffic_to(server).flowing() as traffic:
        for cpus, workers in steps:
            group.limit(cpus)
            follows(server, workers)
            all_serve(server)
            assert f"CPU limit {cpus} of" in server.status()["workers_reason"]
    assert not traffic.lost
    assert server.status()["restarts"] == 0
    # Those that were retired have ended: the supervisor, the control process and a worker are left.
    wait_until(lambda: len(server.family()) == 2 + steps[-1][1], 5, "retired workers to end")


def all_serve(server: Server) -> None:
    """Waits until each worker has got requests."""

    def requests() -> list[int]:
        return [worker["requests"] for worker in server.status()["workers"]]

    # A worker that is replaced meanwhile, to be pinned elsewhere, has a number of its own.
    before = requests()
    wait_until(
        lambda: all(now != then for now, then in zip(requests(), before, strict=True)),
        5,
        "all workers to serve",
    )
