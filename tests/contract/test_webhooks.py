"""What is posted when the server starts or fails to, and when a probe's answer changes."""

import socket
from pathlib import Path

import pytest

from contract.target import Serve, Target
from receiver import Receiver
from serving import free_port

mark = pytest.mark
HOUR = 3600


def first(target: Target, receiver: Receiver, kind: str) -> dict[str, object]:
    """The first webhook of that kind."""
    receiver.wait_for(1, target.patience)
    return next(webhook for webhook in receiver.received if webhook["type"] == kind)


def start(serve: Serve, receiver: Receiver, *flags: str) -> Target:
    """A server that posts to the receiver."""
    return serve("--webhook-url", receiver.url, *flags, wait=False)


@mark.row("webhooks.startup")
def test_a_start_is_told(serve: Serve) -> None:
    with Receiver() as receiver:
        target = serve("--webhook-url", receiver.url, settings={"HURRICANE_VERSION": "2026.1"})
        told = first(target, receiver, "startup")
        assert isinstance(stamp := told.pop("timestamp"), int)
        assert abs(stamp - target.stderr.stat().st_mtime) < HOUR
        assert told == {
            "info": "Startup webhook",
            "type": "startup",
            "status": "succeeded",
            "podname": socket.gethostname(),
            "version": "2026.1",
        }


@mark.row("webhooks.no-version")
def test_the_version_is_null_where_there_is_none(serve: Serve) -> None:
    with Receiver() as receiver:
        target = start(serve, receiver)
        assert first(target, receiver, "startup")["version"] is None


@mark.row("webhooks.failed")
def test_a_command_that_fails_is_told(serve: Serve) -> None:
    with Receiver() as receiver:
        target = start(serve, receiver, "--command", "errand refuse")
        told = first(target, receiver, "startup")
        assert told["status"] == "failed"
        assert "the errand was refused" in str(told["traceback"])


@mark.row("webhooks.changes")
@mark.parametrize(("purpose", "path"), [("liveness", "/alive"), ("readiness", "/ready")])
def test_a_change_of_a_probe_is_told_and_the_first_success_is_one(
    serve: Serve, purpose: str, path: str
) -> None:
    with Receiver() as receiver:
        target = start(serve, receiver)
        target.wait_for_status(path, 200)
        target.until(lambda: (purpose, "succeeded") in receiver.told(), "the first success")
        target.put(f"{purpose}-fails")
        target.wait_for_status(path, 500)
        target.until(lambda: (purpose, "failed") in receiver.told(), "the failure")
        told = next(hook for hook in receiver.received if hook["status"] == "failed")
        assert (told["info"], told["type"]) == (f"{purpose.capitalize()} webhook", purpose)


@mark.row("webhooks.unasked")
def test_a_change_is_told_although_nobody_probes(serve: Serve) -> None:
    with Receiver() as receiver:
        target = start(serve, receiver)
        target.until(lambda: ("readiness", "succeeded") in receiver.told(), "the first success")


@mark.old("webhooks.unasked")
def test_only_a_change_that_a_probe_saw_was_told(serve: Serve) -> None:
    with Receiver() as receiver:
        target = start(serve, receiver)
        target.wait_for_status("/startup", 200)
        target.wait_for_status("/alive", 200)
        target.until(lambda: ("liveness", "succeeded") in receiver.told(), "the first success")
        target.put("liveness-fails")
        target.wait_for_status("/alive", 500)
        target.until(lambda: ("liveness", "failed") in receiver.told(), "the failure")
        assert "readiness" not in {kind for kind, _ in receiver.told()}


def failure_of_readiness(target: Target, receiver: Receiver) -> dict[str, object]:
    """The webhook that tells of it."""
    target.put("readiness-fails")
    target.wait_for_status("/ready", 500)
    target.until(lambda: ("readiness", "failed") in receiver.told(), "the failure")
    return next(hook for hook in receiver.received if hook["status"] == "failed")


@mark.old("webhooks.traceback")
def test_why_a_probe_failed_was_not_told(serve: Serve) -> None:
    with Receiver() as receiver:
        told = failure_of_readiness(start(serve, receiver), receiver)
        assert "traceback" not in told


@mark.row("webhooks.traceback")
def test_why_a_probe_fails_is_told(serve: Serve) -> None:
    with Receiver() as receiver:
        told = failure_of_readiness(start(serve, receiver), receiver)
        assert "told to fail" in str(told.get("traceback"))


@mark.row("webhooks.retries")
def test_what_the_receiver_could_not_take_is_sent_again(serve: Serve) -> None:
    with Receiver(503) as receiver:
        target = start(serve, receiver)
        told = ("startup", "succeeded")
        target.until(lambda: receiver.told().count(told) == 2, "the second attempt")


@mark.old("webhooks.retries")
def test_what_the_receiver_could_not_take_was_not_sent_again(serve: Serve) -> None:
    with Receiver(503) as receiver:
        target = start(serve, receiver)
        target.wait_for_status("/alive", 200)
        target.until(lambda: ("liveness", "succeeded") in receiver.told(), "the next one")
        target.put("liveness-fails")
        target.wait_for_status("/alive", 500)
        target.until(lambda: ("liveness", "failed") in receiver.told(), "the last one")
        assert len(receiver.told()) == len(set(receiver.told()))


@mark.old("webhooks.stop")
def test_a_stop_was_not_told(serve: Serve) -> None:
    with Receiver() as receiver:
        target = start(serve, receiver)
        first(target, receiver, "startup")
        target.terminate()
        assert target.wait(target.patience) == 0
        assert {kind for kind, _ in receiver.told()} == {"startup"}


@mark.row("webhooks.stop")
def test_a_stop_is_told(serve: Serve) -> None:
    with Receiver() as receiver:
        target = start(serve, receiver)
        target.wait_for_status("/startup", 200)
        target.terminate()
        assert target.wait(target.patience) == 0
        assert ("shutdown", "succeeded") in receiver.told()


@mark.row("webhooks.database")
def test_a_database_that_is_waited_for_is_no_failure(serve: Serve, tmp_path: Path) -> None:
    place = tmp_path / "place"
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(place / "db")}
    with Receiver() as receiver:
        target = serve(
            "--webhook-url",
            receiver.url,
            "--check-migrations-apply",
            settings={"DATABASES": {"default": database}},
            wait=False,
        )
        target.wait_for_text("unable to open database file")
        place.mkdir()
        target.wait_for_status("/startup", 200)
        receiver.wait_for(1)
        assert receiver.told()[0] == ("startup", "succeeded")


@mark.old("webhooks.database")
def test_a_database_that_was_not_there_was_a_warning(serve: Serve) -> None:
    lost = {"ENGINE": "django.db.backends.sqlite3", "NAME": "/nonexistent/db"}
    with Receiver() as receiver:
        target = serve(
            "--webhook-url",
            receiver.url,
            "--check-migrations",
            settings={"DATABASES": {"default": lost}},
            wait=False,
        )
        assert first(target, receiver, "startup")["status"] == "warning"


@mark.row("webhooks.port-busy")
def test_a_port_that_is_taken_is_told(serve: Serve) -> None:
    with Receiver() as receiver, socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        target = serve(
            "--webhook-url",
            receiver.url,
            "--port",
            port,
            "--probe-port",
            str(free_port()),
            places=False,
            wait=False,
        )
        assert first(target, receiver, "startup")["status"] == "failed"
