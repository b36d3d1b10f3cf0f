"""Pods are replaced behind a load balancer that hears of it late, and no request is lost."""

import asyncio
import signal

from balancer import Balancer, Pod
from conftest import Starter
from traffic import Traffic

ROUNDS = 2
PROPAGATION_SECONDS = 1.0


def test_a_rolling_restart_loses_no_request(start: Starter) -> None:
    traffic = asyncio.run(roll(start))
    assert not traffic.lost
    # New connections alone, while endpoints that had their signal are still chosen.
    assert traffic.answered > ROUNDS * 2 * PROPAGATION_SECONDS * traffic.new_per_second
    assert [server.wait() for server in start.servers[:-2]] == [0] * ROUNDS * 2


async def roll(start: Starter) -> Traffic:
    """Replaces two pods under load, several times over."""

    def started() -> Pod:
        server = start("--workers", "2", "--drain-delay", "1.5s")
        return Pod(server.port, server.probe_port, "/ready", server.terminate)

    async def new() -> Pod:
        return await asyncio.to_thread(started)

    balancer = Balancer(PROPAGATION_SECONDS)
    pods = [await new(), await new()]
    for pod in pods:
        await balancer.admit(pod)
    traffic = Traffic(balancer.choose, kept_clients=10, paths=["/", "/", "/", "/", "/slow"])
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as flowing:
        flowing.create_task(traffic.run(enough))
        for _ in range(ROUNDS):
            pods = await balancer.roll(pods, new)
        enough.set()
    for server in start.servers[-len(pods) :]:
        server.process.send_signal(signal.SIGQUIT)
    return traffic
