"""The prober of the tests is a kubelet's, and the server lives under one as a pod does."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
import yaml

import kubelet
from condition import wait_until
from conftest import Starter
from kubelet import Outcome, Schedule, ask, watching
from manifests import KUSTOMIZE

STARTED = ("startup", Outcome.SUCCESS)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Script:
    """A server that answers each connection with the same bytes and keeps what it was sent."""

    def __init__(self, answer: bytes, *, then: str = "close") -> None:
        self.answer, self.then = answer, then
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.requests: list[bytes] = []
        self.held: list[socket.socket] = []

    def serve(self) -> None:
        """Answers until the listener is closed."""
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.requests.append(connection.recv(65536))
            # A long body is cut off.
            with suppress(OSError):
                connection.sendall(self.answer)
            if self.then == "hold":
                self.held.append(connection)
            else:
                connection.close()


@contextmanager
def script(answer: bytes, *, then: str = "close") -> Iterator[Script]:
    """Serves so until the end of the block."""
    found = Script(answer, then=then)
    thread = threading.Thread(target=found.serve)
    thread.start()
    try:
        yield found
    finally:
        found.listener.shutdown(socket.SHUT_RDWR)
        found.listener.close()
        thread.join()
        for connection in found.held:
            connection.close()


def head(status: int, *fields: str) -> bytes:
    """A response without a body."""
    lines = [f"HTTP/1.1 {status} Any", "Content-Length: 0", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def test_the_bytes_are_those_that_a_kubelet_sends() -> None:
    with script(OK) as server:
        kubelet.probe(server.port, "/alive?x=1")
    assert server.requests == [
        b"GET /alive?x=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: kube-probe/1.36\r\n"
        b"Accept: */*\r\nConnection: close\r\n\r\n" % server.port
    ]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (OK, Outcome.SUCCESS),
        (head(204), Outcome.SUCCESS),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            Outcome.SUCCESS,
        ),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", Outcome.SUCCESS),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, Outcome.SUCCESS),
        (head(399), Outcome.WARNING),
        (head(302), Outcome.WARNING),
        (head(302, "Location: http://elsewhere.example/"), Outcome.WARNING),
        (head(302, "Location: /again"), Outcome.FAILURE),
        (head(400), Outcome.FAILURE),
        (head(503), Outcome.FAILURE),
        (b"what is this\r\n\r\n", Outcome.FAILURE),
        (b"", Outcome.FAILURE),
    ],
)
def test_an_answer_is_judged_as_a_kubelet_judges_it(answer: bytes, outcome: Outcome) -> None:
    with script(answer) as server:
        assert ask(server.port, "/") is outcome
    led = outcome is Outcome.FAILURE and b"Location" in answer
    assert len(server.requests) == (10 if led else 1)


def test_redirects_on_the_same_host_are_followed() -> None:
    with script(OK) as end, script(head(307, f"Location: http://127.0.0.1:{end.port}/b")) as begin:
        assert ask(begin.port, "/a") is Outcome.SUCCESS
    assert b"\r\nReferer: http://127.0.0.1:%d/a\r\nConnection" % begin.port in end.requests[0]
    assert end.requests[0].startswith(b"GET /b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % end.port)


def test_ten_kibibytes_of_a_body_are_read() -> None:
    body = b"x" * (1 << 20)
    with script(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body) as server:
        found = kubelet.probe(server.port, "/")
    assert (found.outcome, len(found.response.body)) == (Outcome.SUCCESS, 10 * 1024)


@pytest.mark.parametrize(
    ("answer", "outcome", "tries"),
    [
        (b"", Outcome.FAILURE, 1),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", Outcome.UNKNOWN, 3),
    ],
)
def test_silence_fails_and_half_a_body_says_nothing(
    answer: bytes, outcome: Outcome, tries: int
) -> None:
    with script(answer, then="hold") as server:
        assert ask(server.port, "/", timeout=0.2) is outcome
        assert len(server.requests) == tries


def test_a_refused_connection_fails() -> None:
    with script(OK) as server:
        pass
    assert ask(server.port, "/") is Outcome.FAILURE


def schedules(pace: float) -> dict[str, Schedule]:
    """The probes of ``deploy/``, sent more often, and with patience for a busy machine."""
    deployment = yaml.safe_load((KUSTOMIZE / "base" / "deployment.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    found = {name: Schedule.of(container[f"{name}Probe"], pace) for name in kubelet.ORDER}
    return {name: replace(schedule, timeout_seconds=10) for name, schedule in found.items()}


def test_a_pod_lives_under_the_probes_of_its_manifest(start_once: Starter) -> None:
    server = start_once("--drain-delay", "60s", wait=False)
    with watching(server.probe_port, schedules(pace=10)) as pod:
        wait_until(lambda: pod.is_ready, 60, "the pod to be ready")
        # Nobody asked whether it is ready before it had started.
        assert {name for name, _ in pod.sent[: pod.sent.index(STARTED)]} <= {"startup"}
        # A database that is away takes the pod out of its Service, and does not restart it.
        server.put("readiness-loses-database")
        wait_until(lambda: not pod.is_ready, 30, "the pod to be unready")
        server.remove("readiness-loses-database")
        wait_until(lambda: pod.is_ready, 30, "the pod to be ready again")
        wait_until(lambda: pod.sent.count(("liveness", Outcome.SUCCESS)) > 1, 30, "liveness")
        # While it is deleted it is asked whether it is ready, and it is: it still accepts.
        pod.delete()
        os.kill(server.process.pid, signal.SIGTERM)
        wait_until(lambda: server.lines_with("still accepting"), 30, "the drain")
        asked = len(pod.sent)
        wait_until(lambda: len(pod.sent) > asked + 2, 30, "readiness to be asked")
        assert set(pod.sent[asked + 1 :]) == {("readiness", Outcome.SUCCESS)}
        assert pod.is_ready
        assert pod.verdicts["liveness"]
        assert ("liveness", Outcome.FAILURE) not in pod.sent
