"""A toy of what stands in front of pods: endpoints that follow probes and deletions, with a delay.

It behaves as a Service does. A pod becomes an endpoint when its readiness probe succeeds. It stays
one for a while after its deletion, because that news has to spread. Each new connection goes to the
next endpoint.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import probe

PROBE_PERIOD_SECONDS = 0.1
PROBE_SECONDS_MAX = 1.0
PROBE_FAILURES_MAX = 3


@dataclass(frozen=True, eq=False)
class Pod:
    """One instance of a server: where it serves, where it is probed, and how it is told to end."""

    port: int
    probe_port: int
    probe_path: str
    terminate: Callable[[], None]


class Balancer:
    """The endpoints."""

    def __init__(self, propagation_seconds: float = 1.0) -> None:
        self.propagation_seconds = propagation_seconds
        self._endpoints: list[Pod] = []
        self._watches: dict[Pod, asyncio.Task[None]] = {}
        self._turns = itertools.count()

    def choose(self) -> int:
        """The port for the next connection."""
        if not self._endpoints:
            raise ConnectionRefusedError
        return self._endpoints[next(self._turns) % len(self._endpoints)].port

    async def admit(self, pod: Pod) -> None:
        """Probes a pod from now on; returns when it is an endpoint."""
        self._watches[pod] = asyncio.create_task(self._watch(pod))
        while pod not in self._endpoints:
            await asyncio.sleep(PROBE_PERIOD_SECONDS)

    def delete(self, pod: Pod) -> None:
        """Signals a pod; from then on the news spreads that it is no endpoint any more."""
        self._watches.pop(pod).cancel()
        pod.terminate()
        self._spread_loss(pod)

    async def roll(self, pods: list[Pod], start: Callable[[], Awaitable[Pod]]) -> list[Pod]:
        """Replaces each pod by a new one, as a Deployment does with a surge of one pod.

        Nobody waits for the deleted ones: whoever started them does.
        """
        successors = []
        for pod in pods:
            successors.append(await start())
            await self.admit(successors[-1])
            self.delete(pod)
        return successors

    async def _watch(self, pod: Pod) -> None:
        failures = 0
        while True:
            failures = 0 if await _succeeds(pod) else failures + 1
            if failures == 0 and pod not in self._endpoints:
                self._endpoints.append(pod)
            if failures == PROBE_FAILURES_MAX and pod in self._endpoints:
                self._spread_loss(pod)
            await asyncio.sleep(PROBE_PERIOD_SECONDS)

    def _spread_loss(self, pod: Pod) -> None:
        def remove() -> None:
            if pod in self._endpoints:
                self._endpoints.remove(pod)

        asyncio.get_running_loop().call_later(self.propagation_seconds, remove)


async def _succeeds(pod: Pod) -> bool:
    """One probe, as a kubelet asks."""
    try:
        async with asyncio.timeout(PROBE_SECONDS_MAX):
            reader, writer = await asyncio.open_connection(probe.HOST, pod.probe_port)
            try:
                writer.write(probe.request(pod.probe_path, pod.probe_port))
                status_line = await reader.readline()
            finally:
                writer.close()
    except OSError:
        return False
    return status_line.split()[1:2] == [b"200"]
