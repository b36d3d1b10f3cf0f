"""Connections that were being made when a listener went are served."""

import os
import signal

from cgroup import CpuGroup
from condition import wait_until
from conftest import Starter
from remote import Network, play
from serving import stop
from test_resize import follows, needs_two_cpus
from wire import request

HERE = ("--host", "0.0.0.0", "--req-queue-len", "1000", "--heartbeat-timeout", "30s")
GET = request("GET", "/", "Connection: close")


def test_handshakes_in_flight_when_accepting_ends_are_served(start: Starter) -> None:
    def stopped(network: Network) -> None:
        server = start(*HERE, "--workers", "2")
        workers = server.workers()
        begun = [network.begin(server.port) for _ in range(10)]
        # They hear of the end when the handshakes are whole.
        for worker in workers:
            stop(worker)
        server.terminate()
        wait_until(lambda: network.begin(server.port).is_refused, 5, "a refusal")
        for handshake in begun:
            handshake.finish(GET)
        for worker in workers:
            os.kill(worker, signal.SIGCONT)
        for handshake in begun:
            assert handshake.answer().endswith(b"hello")
        assert server.wait() == 0

    play(stopped)


@needs_two_cpus
def test_handshakes_in_flight_with_a_worker_that_retires_are_served(
    half_a_cpu: CpuGroup, start: Starter
) -> None:
    half_a_cpu.limit(2)

    def retired(network: Network) -> None:
        server = start(*HERE, "--workers", "auto", prefix=half_a_cpu.entry())
        follows(server, 2)
        retiring = server.workers()[1]
        # About half of them are the retiring worker's.
        begun = [network.begin(server.port) for _ in range(20)]
        stop(retiring)
        half_a_cpu.limit(1)
        follows(server, 1)
        for handshake in begun:
            handshake.finish(GET)
        # New ones are not his: nobody has to wait for him.
        for handshake in [network.begin(server.port) for _ in range(20)]:
            handshake.finish(GET)
            assert handshake.answer().endswith(b"hello")
        os.kill(retiring, signal.SIGCONT)
        for handshake in begun:
            assert handshake.answer().endswith(b"hello")

    play(retired)
