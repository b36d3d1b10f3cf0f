"""Webhooks that a project has written: as the registry holds them, and as the server runs them."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Generator
from typing import Any

import django
import pytest

from condition import wait_until
from conftest import Starter
from hurricane.webhooks import (
    LivenessWebhook,
    ReadinessWebhook,
    StartupWebhook,
    Webhook,
    WebhookRegistry,
    WebhookStatus,
    base,
    events,
    webhook_registry,
)
from hurricane.webhooks.exceptions import WebhookCodeAlreadyRegistered
from hurricane.webhooks.sending import THREADS_MAX, Threads, threads
from receiver import Receiver
from serving import Server, as_settings

SETTLE_SECONDS = 15.0
BUILT_IN = [StartupWebhook, LivenessWebhook, ReadinessWebhook]


@pytest.fixture(autouse=True)
def registry() -> Generator[WebhookRegistry]:
    """The registry of this process, as it was before the test."""
    django.setup()
    before = dict(webhook_registry.webhooks)
    yield webhook_registry
    webhook_registry.webhooks = before


class Deployment(Webhook):
    """A project's own."""

    code = "deployment"
    data: dict[str, Any] = {"type": "deployment"}  # noqa: RUF012 - as projects write it


def test_the_registry_has_the_servers_own_webhooks(registry: WebhookRegistry) -> None:
    assert list(registry.webhooks) == ["startup", "liveness", "readiness"]
    for webhook in BUILT_IN:
        assert type(webhook.get_from_registry()) is webhook
        assert webhook.get_from_registry() is registry.get(webhook.code)
        with pytest.raises(WebhookCodeAlreadyRegistered, match=f'"{webhook.code}"'):
            registry.register(webhook)


def test_a_webhook_is_known_by_its_code(registry: WebhookRegistry) -> None:
    with pytest.raises(KeyError):
        registry.get("deployment")
    registry.register(Deployment)
    assert isinstance(registry.get("deployment"), Deployment)
    registry.unregister(Deployment)
    registry.unregister(Deployment)
    assert "deployment" not in registry.webhooks
    assert Webhook(code="other").code == "other"


@pytest.mark.parametrize("webhook", BUILT_IN)
def test_a_webhook_that_a_project_runs_has_the_payload_of_old(webhook: type[Webhook]) -> None:
    with Receiver() as receiver:
        webhook().run(receiver.url, WebhookStatus.FAILED, error_trace="Traceback: …")
        receiver.wait_for(1)
        (sent,) = receiver.received
    assert abs(sent.pop("timestamp") - time.time()) < 60
    assert sent == {
        "info": f"{webhook.code.capitalize()} webhook",
        "type": webhook.code,
        "status": "failed",
        "podname": socket.gethostname(),
        "version": None,
        "traceback": "Traceback: …",
    }


def test_what_one_run_said_is_not_said_by_the_next() -> None:
    webhook = Deployment()
    with Receiver() as receiver:
        webhook.run(receiver.url, WebhookStatus.FAILED, error_trace="why")
        receiver.wait_for(1)
        webhook.run(receiver.url, WebhookStatus.SUCCEEDED)
        receiver.wait_for(2)
        first, second = receiver.received
    assert first["traceback"] == "why"
    assert "traceback" not in second
    assert Deployment.data == {"type": "deployment"}


def test_a_receiver_that_fails_gets_it_again_and_one_that_refuses_does_not() -> None:
    with Receiver(500) as receiver:
        Deployment().run(receiver.url, WebhookStatus.SUCCEEDED)
        receiver.wait_for(2)
        assert threads.settle(SETTLE_SECONDS)
    with Receiver(404) as receiver:
        Deployment().run(receiver.url, WebhookStatus.SUCCEEDED)
        assert threads.settle(SETTLE_SECONDS)
        assert receiver.told() == [("deployment", "succeeded")]


def test_a_failure_is_logged_without_what_is_secret(caplog: pytest.LogCaptureFixture) -> None:
    with Receiver(404) as receiver:
        Deployment().run(receiver.url, WebhookStatus.SUCCEEDED)
        assert threads.settle(SETTLE_SECONDS)
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    port = receiver.server.server_port
    where = f"http://localhost:{port}/…"
    assert line == f"Sending webhook to {where} has failed due to the receiver's answer 404"


def test_a_project_may_send_in_its_own_way(caplog: pytest.LogCaptureFixture) -> None:
    class Queued(Deployment):
        def _send_webhook(self, data: dict[str, Any], *_args: object) -> None:
            raise OSError(f"no queue for {data['type']}")

    Queued().run("amqp://broker/secret", WebhookStatus.SUCCEEDED)
    assert threads.settle(SETTLE_SECONDS)
    assert "Sending webhook to amqp:… has failed due to no queue for deployment" in caplog.text


def test_a_loop_is_stopped_when_that_is_asked_for() -> None:
    with Receiver() as receiver:
        for url in (receiver.url, None):
            loop = asyncio.new_event_loop()
            Deployment().run(url, WebhookStatus.FAILED, close_loop=True, loop=loop)
            loop.run_forever()
            loop.close()
        assert receiver.told() == [("deployment", "failed")]


def test_no_more_are_sent_at_a_time_than_may_be(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    class Slow(Deployment):
        def _send_webhook(self, *_args: object) -> None:
            released.wait(SETTLE_SECONDS)

    crowd = Threads()
    monkeypatch.setattr(base, "threads", crowd)
    for _ in range(THREADS_MAX):
        Slow().run("http://slow/", WebhookStatus.SUCCEEDED)
    assert not crowd.settle(0)
    assert not caplog.records
    Slow().run("http://slow/", WebhookStatus.SUCCEEDED)
    assert "has failed due to too many that are being sent" in caplog.text
    released.set()
    assert crowd.settle(SETTLE_SECONDS)


def test_the_server_sends_what_is_not_the_projects(registry: WebhookRegistry) -> None:
    assert events.collect() is None
    registry.register(Deployment)
    assert events.collect() == []
    registry.unregister(StartupWebhook)
    assert events.collect() == ["startup"]


def test_a_class_says_with_which_events_it_is_sent() -> None:
    class Cluster(StartupWebhook):
        code = "cluster"

    class Drain(Webhook):
        code = "drain"

    assert events.events_of(Cluster()) == ("startup",)
    assert events.events_of(Drain()) == ("drain",)
    assert events.events_of(Deployment()) == events.EVENTS


def own(names: str, **settings: object) -> dict[str, str]:
    """The environment of a server that has these webhooks of its own."""
    return {"STAGE_WEBHOOKS": names, **as_settings(**settings)}


def stop(server: Server) -> None:
    server.terminate()
    assert server.wait() == 0


def test_a_registered_webhook_is_sent_with_the_servers_events(start_once: Starter) -> None:
    with Receiver() as receiver:
        env = own("deployment", WEBHOOK_URL=receiver.url, HURRICANE_VERSION="7")
        server = start_once(env=env)
        receiver.wait_for(6)
        stop(server)
        sent = [webhook for webhook in receiver.received if webhook["type"] == "deployment"]
        others = [told for told in receiver.told() if told[0] != "deployment"]
    named = [(webhook["event"], webhook["status"]) for webhook in sent]
    assert named[:3] == [(event, "succeeded") for event in ("startup", "liveness", "readiness")]
    assert ("shutdown", "succeeded") in named
    first = sent[0]
    assert abs(first.pop("timestamp") - time.time()) < 60
    assert first == {
        "info": "Deployment webhook",
        "type": "deployment",
        "team": "shop",
        "event": "startup",
        "status": "succeeded",
        "podname": socket.gethostname(),
        "version": "7",
    }
    assert others[:3] == [(event, "succeeded") for event in ("startup", "liveness", "readiness")]


def test_a_webhook_under_a_code_of_the_server_takes_its_place(start_once: Starter) -> None:
    with Receiver() as receiver:
        server = start_once("--webhook-url", receiver.url, env=own("liveness -readiness"))
        receiver.wait_for(2)
        server.put("liveness-fails")
        receiver.wait_for(3)
        stop(server)
        told = [(hook["info"], hook["status"]) for hook in receiver.received]
        failed = receiver.received[2]
    assert set(told[:2]) == {("Startup webhook", "succeeded"), ("own liveness", "succeeded")}
    assert told[2] == ("own liveness", "failed")
    assert "told to fail" in failed["traceback"]
    assert "event" not in failed
    assert "Readiness webhook" not in dict(told)


def test_own_webhooks_run_in_the_process_of_the_probes_also_without_a_url(
    start_once: Starter,
) -> None:
    server = start_once(env=own("notes"))
    server.wait_for_lines("webhook-notes", 2)
    control = server.control()
    server.put("readiness-fails")
    server.wait_for_lines("webhook-notes", 3)
    stop(server)
    notes = [json.loads(line) for line in server.lines("webhook-notes")]
    assert [note[:4] for note in notes] == [
        [control, "startup", None, "succeeded"],
        [control, "readiness", None, "succeeded"],
        [control, "readiness", None, "failed"],
        [control, "shutdown", None, "succeeded"],
    ]
    assert "told to fail" in notes[2][4]


def test_own_webhooks_that_raise_or_hang_harm_nobody(start_once: Starter) -> None:
    with Receiver() as receiver:
        server = start_once("--webhook-url", receiver.url, env=own("raises notes hangs"))
        server.wait_for_lines("webhook-hangs-entered", 1)
        assert set(receiver.wait_for(3)) == {
            (event, "succeeded") for event in ("startup", "liveness", "readiness")
        }
        assert len(server.lines("webhook-notes")) == 1
        for path in ("/ready", "/alive", "/startup"):
            assert server.probe(path).response.status == 200
        assert server.get("/").status == 200
        assert 'webhook "raises" cannot be sent' in server.log()
        server.terminate()
        assert server.wait() == 0
        assert receiver.told()[3] == ("drain", "succeeded")


def test_a_view_may_send_a_webhook(start_once: Starter) -> None:
    with Receiver() as receiver:
        server = start_once()
        assert server.get(f"/announce?url={receiver.url}").body == b"announced"
        assert receiver.wait_for(1) == [("deployment", "warning")]
        assert receiver.received[0]["traceback"] == "by a view"
        stop(server)


def test_logs_show_all_of_the_url_where_nothing_was_to_change(start_once: Starter) -> None:
    with Receiver(404) as receiver:
        server = start_once("--webhook-url", receiver.url, "--compat", "1.6")
        # As it was, what a probe says is told when one has asked.
        assert [server.probe(path).response.status for path in ("/alive", "/ready")] == [200] * 2
        receiver.wait_for(3)
        failed = f"Sending webhook to {receiver.url} has failed due to"
        assert wait_until(lambda: server.lines_with(failed), SETTLE_SECONDS, "the failure")
        stop(server)


def test_a_worker_that_ends_sends_what_it_has_begun(start_once: Starter) -> None:
    with Receiver(500) as receiver:
        server = start_once()
        assert server.get(f"/announce?url={receiver.url}").body == b"announced"
        receiver.wait_for(1)
        stop(server)
        assert receiver.told() == [("deployment", "warning")] * 2
