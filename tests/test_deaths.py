"""What the death of each process costs, under load, and that it leaves nothing behind."""

import os
import signal
import socket
from functools import partial

import kubelet
from condition import wait_until
from conftest import Starter
from serving import Server, stop
from test_drain import drain
from traffic import Traffic

TWO = ("--workers", "2", "--req-queue-len", "1000")


def traffic_to(server: Server) -> Traffic:
    return Traffic(lambda: server.port, new_per_second=100, kept_clients=10)


def more(traffic: Traffic, count: int) -> None:
    """Waits for so many more answers."""
    goal = traffic.answered + count
    wait_until(lambda: traffic.answered >= goal, 20, f"{count} more answers")


def test_the_control_process_costs_no_request(start: Starter) -> None:
    server = start(*TWO)
    server.wait_for_ready()
    control = server.control()
    with traffic_to(server).flowing() as traffic:
        more(traffic, 50)
        os.kill(control, signal.SIGKILL)
        # Each waits in the accept queue until a successor is there, which goes on from the last
        # results of checks: nothing fails.
        answers = [
            kubelet.probe(server.probe_port, path, 10) for path in ("/ready", "/alive", "/startup")
        ]
        assert [answer.response.status for answer in answers] == [200] * 3
        assert server.control() != control
        more(traffic, 50)
    assert not traffic.lost
    assert server.status()["restarts"] == 0


def test_both_workers_cost_what_they_had_in_flight(start: Starter) -> None:
    server = start(*TWO)
    server.wait_for_ready()
    victims = server.workers()
    with traffic_to(server).flowing() as traffic:
        more(traffic, 100)
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        wait_until(lambda: server.status()["restarts"] == 2, 10)
        assert server.probe("/alive").response.status == 200
        server.wait_for_ready()
        more(traffic, 100)
    # No connection is refused, and none waits for nobody.
    assert set(traffic.lost) <= {"closed", "reset"}
    # Kept connections, each perhaps in the middle of a request, and as many new ones at most.
    assert traffic.lost.total() <= 2 * traffic.kept_clients
    assert set(victims).isdisjoint(server.family())


def test_a_worker_that_dies_in_the_drain_is_replaced_by_one_that_drains(start: Starter) -> None:
    server = start(*TWO, "--drain-delay", "60s")
    server.wait_for_ready()
    victim, other = server.workers()
    drain(server)
    os.kill(victim, signal.SIGKILL)

    def successor_drains() -> bool:
        first = server.status()["workers"][0]
        return first["state"] == "draining" and first["pid"] not in (None, victim)

    wait_until(successor_drains, 10)
    for _ in range(10):
        assert server.get("/").header("Connection") == "close"
    assert server.workers()[1] == other


def test_a_control_process_that_dies_in_the_drain_comes_back(start: Starter) -> None:
    server = start(*TWO, "--drain-delay", "2s")
    server.wait_for_ready()
    drain(server)
    os.kill(server.control(), signal.SIGKILL)
    assert kubelet.probe(server.probe_port, "/ready", 10).response.status == 200
    assert server.status()["phase"] == "draining"
    assert server.wait() == 0


def test_a_supervisor_takes_every_process_with_it(start: Starter) -> None:
    # Workers come and go all the time; one is stopped and cannot end by itself.
    server = start("--workers", "4", "--req-queue-len", "1000", "--max-worker-requests", "5")
    with traffic_to(server).flowing() as traffic:
        more(traffic, 100)
        stop(server.workers()[0])
        more(traffic, 100)
        assert len(server.family()) >= 2 + 4
        server.process.kill()
        assert server.process.wait() == -signal.SIGKILL
        wait_until(lambda: not server.family(), 10, "every process to end")
        # What comes now is refused, so that somebody else can be asked.
        wait_until(lambda: traffic.lost["refused"], 10, "a refusal")
    for port in (server.port, server.probe_port):
        wait_until(partial(can_listen, port), 10, f"port {port} to be free")


def can_listen(port: int) -> bool:
    """Whether a server could. A client may have been given the port as its own for a moment."""
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            free.bind(("127.0.0.1", port))
            free.listen()
        except OSError:
            return False
    return True
