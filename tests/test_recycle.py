"""Workers that have served long enough are replaced under load, and no request is lost."""

from condition import wait_until
from conftest import Starter
from serving import Server
from traffic import Traffic

# At most a quarter leaves at a time.
EIGHT = ("--workers", "8", "--req-queue-len", "1000")


def traffic_to(server: Server) -> Traffic:
    """Half of the requests on connections of their own, half on ten that are kept."""
    return Traffic(
        lambda: server.port,
        new_per_second=100,
        kept_clients=10,
        kept_per_second=10,
        paths=["/slow", *["/"] * 9],
    )


def test_a_hundred_recycled_workers_lose_no_request(start: Starter) -> None:
    server = start(*EIGHT, "--max-worker-requests", "5")
    seen = set(server.workers())

    def a_hundred_successors() -> bool:
        seen.update(server.workers())
        return len(seen) >= 100 + 8

    with traffic_to(server).flowing() as traffic:
        wait_until(a_hundred_successors, 60)
    assert not traffic.lost
    assert server.status()["restarts"] == 0
    assert server.status()["crash_loop"] is False


def test_a_stop_amid_recycling_loses_no_accepted_request(start: Starter) -> None:
    server = start(*EIGHT, "--max-worker-requests", "5", "--drain-delay", "0.5s")
    server.wait_for_ready()
    with traffic_to(server).flowing() as traffic:
        wait_until(lambda: server.lines_with("replaced by a fresh one"), 20)
        server.terminate()
        assert server.wait() == 0
        wait_until(lambda: traffic.lost, 10, "a refusal")
    # What came when accepting had ended.
    assert set(traffic.lost) == {"refused"}


def test_workers_are_replaced_after_their_lifetime(start: Starter) -> None:
    server = start("--workers", "2", "--max-worker-lifetime", "1s", "--req-queue-len", "1000")
    first = server.workers()
    with traffic_to(server).flowing() as traffic:
        wait_until(lambda: not set(first) & set(server.workers()), 10, "fresh workers")
    assert not traffic.lost
    reasons = {line.partition("reason=")[2].split()[0] for line in server.lines_with("by a fresh")}
    assert reasons == {'"lifetime"'}


def test_a_worker_that_leaks_is_replaced_and_its_memory_freed(start_once: Starter) -> None:
    server = start_once("--max-worker-memory", "150m", "--req-queue-len", "1000")
    (leaking,) = server.workers()
    fresh = wait_until(lambda: server.status()["workers"][0]["memory_bytes"], 10, "a weighing")
    assert fresh < 150 << 20
    with traffic_to(server).flowing() as traffic:
        server.get("/leak?mib=200")
        wait_until(lambda: server.workers() != [leaking], 20, "a fresh worker")
        wait_until(lambda: leaking not in server.family(), 20, "the large one to end")
    assert not traffic.lost
    (line,) = server.lines_with("by a fresh")
    assert 'reason="memory"' in line
