"""Consumers that do what a test's messages tell them to."""

import ctypes
import os
import threading
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from hurricane.amqp.basehandler import TopicHandler

GATE_SECONDS = 30.0


def note(name: str, text: str) -> None:
    """One more line for the test."""
    with (settings.SIGNALS / name).open("a") as lines:
        lines.write(f"{text}\n")


def wait_for(gate: Path) -> None:
    """Waits until the test has made the file."""
    deadline = time.monotonic() + GATE_SECONDS
    while not gate.exists() and time.monotonic() < deadline:
        time.sleep(0.005)


def hold(gate: str) -> None:
    """Waits for the test."""
    note("entered", gate)
    wait_for(settings.SIGNALS / f"{gate}-open")


def grab(microseconds: str) -> None:
    """Keeps the interpreter lock, so that nothing else of this process runs."""
    note("entered", microseconds)
    ctypes.PyDLL(None).usleep(int(microseconds))


def fail(name: str) -> None:
    """As a handler with a mistake does."""
    raise RuntimeError(f"{name} was told to fail")


def leave(_name: str) -> None:
    """As a handler does that takes itself for a program."""
    raise SystemExit(3)


def query(_name: str) -> None:
    """Notes whether the thread has a database connection already, and opens one."""
    note("connected", str(connection.connection is not None))
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def where(_name: str) -> None:
    """Notes who runs the message."""
    note("where", f"{os.getpid()} {threading.current_thread().name}")


def sell(kind: str) -> None:
    """Counts in a metric of the project."""
    from stage.metrics import SOLD

    SOLD.labels(kind).inc()


WORDS = {
    "exit": leave,
    "fail": fail,
    "grab": grab,
    "hold": hold,
    "query": query,
    "sell": sell,
    "where": where,
}


class Obedient(TopicHandler):
    """The first word of a body is what to do, the second a name."""

    def get_routing_keys(self, queue_name: str) -> list[str]:
        return [f"{queue_name}.#", f"also.{queue_name}"]

    def on_message(self, channel: Any, basic_deliver: Any, _properties: Any, body: bytes) -> None:
        word, _, name = body.decode().partition(" ")
        tag = basic_deliver.delivery_tag
        redelivered = " again" if basic_deliver.redelivered else ""
        note("messages", f"{word} {name}{redelivered}")
        if word == "publish":
            channel.basic_publish("", name, b"from the handler")
        elif word in WORDS:
            WORDS[word](name)
        if word == "reject":
            self.reject_message(tag)
        elif word == "direct":
            channel.basic_ack(tag)
        elif word != "forget":
            self.acknowledge_message(tag)
        if word == "twice":
            self.acknowledge_message(tag)


class Quorum(Obedient):
    """Consumes from a queue that counts deliveries, and whose dead letters have a place."""

    def setup_queue(self, queue_name: str) -> None:
        arguments = {
            "x-queue-type": "quorum",
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": f"{queue_name}.dead",
        }
        self._channel.queue_declare(
            queue=queue_name,
            durable=True,
            arguments=arguments,
            callback=lambda frame: self.on_queue_declareok(frame, userdata=queue_name),
        )


class Broken(Obedient):
    """Cannot be set up."""

    def setup_queue(self, queue_name: str) -> None:
        raise RuntimeError(f"no queue {queue_name}")


class Silent(TopicHandler):
    """Has nothing to say to a message."""


class Coroutine(TopicHandler):
    """Nobody awaits it."""

    async def on_message(  # type: ignore[override]
        self, channel: Any, basic_deliver: Any, properties: Any, body: bytes
    ) -> None:
        """Never runs."""


class Stranger:
    """No consumer at all."""
