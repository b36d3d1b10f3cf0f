"""What a receiver of webhooks is told, and that nobody waits for it."""

import signal
import socket
import time

import pytest

from condition import wait_until
from conftest import Starter
from receiver import AUTHORITY, HANG, Receiver
from serving import Server, as_settings, command, run

HEALTHY = [("startup", "succeeded"), ("liveness", "succeeded"), ("readiness", "succeeded")]


def stopped(server: Server) -> int:
    """Ends the server as Kubernetes does."""
    server.terminate()
    return server.wait()


def test_a_life_is_told_in_order_with_the_payload_of_old(start_once: Starter) -> None:
    with Receiver() as receiver:
        settings = as_settings(HURRICANE_VERSION="2026.1", WEBHOOK_URL=receiver.url)
        server = start_once(env=settings)
        assert set(receiver.wait_for(3)) == set(HEALTHY)
        first = receiver.received[0]
        assert abs(first.pop("timestamp") - time.time()) < 60
        assert first == {
            "info": "Startup webhook",
            "type": "startup",
            "status": "succeeded",
            "podname": socket.gethostname(),
            "version": "2026.1",
        }
        server.put("readiness-fails")
        assert receiver.wait_for(4)[3] == ("readiness", "failed")
        assert receiver.received[3]["info"] == "Readiness webhook"
        assert "told to fail" in receiver.received[3]["traceback"]
        server.put("liveness-fails")
        assert receiver.wait_for(5)[4] == ("liveness", "failed")
        server.remove("readiness-fails")
        assert receiver.wait_for(6)[5] == ("readiness", "succeeded")
        last = server.status()["webhooks"]["last"]
        assert last["delivered"]
        assert stopped(server) == 0
        told = receiver.told()
    assert told[6:] == [("drain", "succeeded"), ("readiness", "failed"), ("shutdown", "succeeded")]
    assert "Webhook with a status failed has been initiated" in server.log()
    assert "secret" not in server.log()


def test_the_drain_is_told_while_it_lasts(start_once: Starter) -> None:
    with Receiver() as receiver:
        server = start_once("--webhook-url", receiver.url, "--drain-delay", "30s")
        receiver.wait_for(3)
        server.terminate()
        assert receiver.wait_for(4)[3] == ("drain", "succeeded")
        assert server.get("/").status == 200
        assert server.probe("/ready").response.status == 200


def test_a_webhook_that_fails_is_sent_again_before_the_next(start_once: Starter) -> None:
    with Receiver(500, 503) as receiver:
        server = start_once("--webhook-url", receiver.url)
        told = receiver.wait_for(5)
        assert told[:3] == [("startup", "succeeded")] * 3
        assert set(told[3:]) == set(HEALTHY[1:])
        failures = server.lines_with("has failed due to the receiver's answer 50")
        assert len(failures) == 2
        assert f"Sending webhook to http://localhost:{receiver.server.server_port}/…" in failures[0]
        assert server.status()["webhooks"]["given_up"] == 0


def test_probes_and_requests_do_not_wait_for_a_receiver_that_hangs(start_once: Starter) -> None:
    with Receiver(*[HANG] * 9) as receiver:
        server = start_once("--webhook-url", receiver.url)
        receiver.wait_for(1)
        server.wait_for_ready()
        for _ in range(20):
            for path in ("/ready", "/alive", "/startup", "/status", "/metrics/server"):
                assert server.probe(path).seconds < 0.25
        assert server.get("/").status == 200
        assert server.status()["webhooks"]["waiting"] >= 1
        began = time.monotonic()
        assert stopped(server) == 0
        assert time.monotonic() - began < 6
        assert server.lines_with("webhooks were not sent before the end")


def test_a_receiver_that_is_not_there_is_logged_and_harms_nothing(start_once: Starter) -> None:
    with Receiver() as receiver:
        url = receiver.url
    server = start_once("--webhook-url", url)
    server.wait_for_ready()
    wait_until(lambda: server.lines_with("has failed due to"), 10, "a failed webhook")
    assert server.get("/").status == 200
    assert stopped(server) == 0


def test_https_trusts_the_hosts_store(start_once: Starter) -> None:
    with Receiver(tls=True) as receiver:
        server = start_once("--webhook-url", receiver.url, env={"SSL_CERT_FILE": str(AUTHORITY)})
        receiver.wait_for(3)
        stranger = start_once("--webhook-url", receiver.url)
        refused = wait_until(
            lambda: stranger.lines_with("has failed due to"), 10, "a certificate that is refused"
        )
        assert "certificate" in refused[0].lower()
        assert len(receiver.received) == 3
        assert stopped(server) == 0
        stranger.process.send_signal(signal.SIGQUIT)


def test_without_probes_webhooks_still_come(start_once: Starter) -> None:
    with Receiver() as receiver:
        server = start_once("--no-probe", "--webhook-url", receiver.url, wait=False)
        assert set(receiver.wait_for(3)) == set(HEALTHY)
        assert stopped(server) == 0


def test_requests_that_are_cut_off_are_told(start_once: Starter) -> None:
    with Receiver() as receiver:
        server = start_once("--webhook-url", receiver.url, "--grace-period", "0.2s")
        receiver.wait_for(3)
        with server.connect() as connection:
            connection.send(b"GET /hold/gate HTTP/1.1\r\nHost: x\r\n\r\n")
            server.wait_for_lines("gate-entered", 1)
            assert stopped(server) == 4
        assert receiver.told()[-1] == ("shutdown", "failed")
        assert receiver.received[-1]["traceback"].endswith("has cut off requests: 1")


def test_a_start_that_fails_is_told_with_its_reason() -> None:
    with Receiver() as receiver, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        flags = ["--port", str(port), "--probe-port", "0", "--webhook-url", receiver.url]
        ended = run([*command(None, "any"), "--host", "127.0.0.1", *flags])
        assert ended.returncode == 1
        assert receiver.told() == [("startup", "failed")]
        assert f"port {port} is taken" in receiver.received[0]["traceback"]


def test_a_command_that_fails_is_told_with_its_traceback(start_once: Starter) -> None:
    with Receiver() as receiver:
        server = start_once("--webhook-url", receiver.url, "--command", "errand raise", wait=False)
        assert server.wait(20) == 5
        assert receiver.told() == [("startup", "failed")]
        assert "RuntimeError: the errand raised" in receiver.received[0]["traceback"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (command("nowhere:application", "any"), 'there is no module "nowhere"'),
        (command(None, "any"), "nowhere"),
    ],
)
def test_an_application_that_does_not_load_is_told(words: list[str], reason: str) -> None:
    with Receiver() as receiver:
        settings = as_settings(WSGI_APPLICATION="nowhere.application")
        ended = run([*words, "--webhook-url", receiver.url], env=settings)
        assert ended.returncode == 1
        assert receiver.told() == [("startup", "failed")]
        assert reason in receiver.received[0]["traceback"]


def test_a_reload_is_no_news(start_once: Starter) -> None:
    with Receiver() as receiver:
        server = start_once("--webhook-url", receiver.url)
        receiver.wait_for(3)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: server.status()["reloads"] == 1, 20, "the end of the reload")
        server.put("readiness-fails")
        assert receiver.wait_for(4)[3] == ("readiness", "failed")
        assert stopped(server) == 0
        assert receiver.told()[4:] == [("drain", "succeeded"), ("shutdown", "succeeded")]


@pytest.mark.parametrize("url", ["hooks.example.com", "ftp://hooks", "http://user:pw@hooks/"])
def test_a_wrong_url_is_refused_in_one_sentence(url: str) -> None:
    ended = run([*command(None, "any"), "--webhook-url", url])
    assert ended.returncode == 2
    assert ended.stderr == (
        f"hurricane: --webhook-url cannot be '{url}': expected an http or https URL without user "
        "and password, such as https://hooks.example.com/pods\n"
    )
