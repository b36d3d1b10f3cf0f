"""What a connection's bytes are to us, to h11 and to llhttp (of httptools), in one form.

Ours is the example ``frames`` of the crate ``hurricane-http``; it is built when it is asked for.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import h11
import httptools

from packages import ROOT, TARGET

Parser = Callable[[bytes], "Outcome"]


@dataclass
class Request:
    """What an application would see, and where the next request begins (-1: not told)."""

    method: bytes = b""
    target: bytes = b""
    version: bytes = b""
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    end: int = -1
    lives_on: bool = True


@dataclass
class Outcome:
    """Complete requests; why the connection ends there (``None``: it does not)."""

    requests: list[Request]
    refusal: str | None = None


def ours(inputs: Sequence[bytes]) -> list[Outcome]:
    """All at once: one process judges a hundred thousand a second."""
    cargo = os.environ.get("CARGO", "cargo")
    build = [cargo, "build", "--quiet", "--package", "hurricane-http", "--example", "frames"]
    subprocess.run(build, check=True, cwd=ROOT)
    told = subprocess.run(
        [TARGET / "debug/examples/frames"],
        input=b"".join(len(it).to_bytes(4, "little") + it for it in inputs),
        stdout=subprocess.PIPE,
        check=True,
    ).stdout.splitlines()
    assert len(told) == len(inputs)
    return [read(json.loads(line)) for line in told]


def read(told: dict[str, object]) -> Outcome:
    """A line of our example."""
    requests = told["requests"]
    rule = told["rule"]
    assert isinstance(requests, list)
    return Outcome(
        [
            Request(
                method=it["method"].encode("latin-1"),
                target=it["target"].encode("latin-1"),
                version=it["version"].encode(),
                fields=normal(
                    (name.encode("latin-1"), value.encode("latin-1"))
                    for name, value in it["fields"]
                ),
                body=it["body"].encode("latin-1"),
                end=it["end"],
                lives_on=it["keep_alive"],
            )
            for it in requests
        ],
        rule if isinstance(rule, str) else None,
    )


def normal(fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Names without case, values without the white space around them."""
    return [(bytes(name).lower(), bytes(value).strip(b" \t")) for name, value in fields]


def by_h11(data: bytes) -> Outcome:
    """A connection for each request: then no answer has to be made up."""
    requests: list[Request] = []
    ended = 0
    while ended < len(data):
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=65536)
        connection.receive_data(data[ended:])
        request = Request()
        try:
            while True:
                event = connection.next_event()
                if isinstance(event, h11.Request):
                    request.method, request.target = bytes(event.method), bytes(event.target)
                    request.version = bytes(event.http_version)
                    request.fields = normal(event.headers)
                elif isinstance(event, h11.Data):
                    request.body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    break
                else:
                    return Outcome(requests)
        except h11.RemoteProtocolError as error:
            # What is quoted of the input follows a colon.
            return Outcome(requests, str(error).partition(":")[0])
        ended = len(data) - len(connection.trailing_data[0])
        request.end = ended
        requests.append(request)
    return Outcome(requests)


class Callbacks:
    """What httptools calls."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.present = Request()
        self.has_head = False
        self.is_upgrade = False
        self.parser = httptools.HttpRequestParser(self)

    def on_message_begin(self) -> None:
        self.present, self.has_head = Request(), False

    def on_url(self, url: bytes) -> None:
        self.present.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:
            self.present.fields += normal([(name, value)])

    def on_headers_complete(self) -> None:
        self.has_head = True
        self.is_upgrade = self.is_upgrade or self.parser.should_upgrade()
        self.present.method = self.parser.get_method()
        self.present.version = self.parser.get_http_version().encode()

    def on_body(self, body: bytes) -> None:
        self.present.body += body

    def on_message_complete(self) -> None:
        if not self.is_upgrade:
            self.requests.append(self.present)


def by_llhttp(data: bytes) -> Outcome:
    """All at once; where requests end is not told, but what the next one is."""
    callbacks = Callbacks()
    refusal = None
    try:
        callbacks.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        refusal = str(error) or type(error).__name__
    if callbacks.is_upgrade:
        # What follows is of another protocol to it.
        return Outcome(callbacks.requests, "Upgrade")
    return Outcome(callbacks.requests, refusal)


THEIRS: dict[str, Parser] = {"h11": by_h11, "llhttp": by_llhttp}


def difference(mine: Outcome, theirs: Outcome) -> tuple[str, str] | None:
    """What we say and what they say of the first thing that is not the same.

    Whoever waits for more bytes has not judged yet: that says nothing against a refusal.
    """
    for index in range(max(len(mine.requests), len(theirs.requests))):
        if index >= len(mine.requests):
            return (mine.refusal, "accepts") if mine.refusal else ("waits", "accepts")
        if index >= len(theirs.requests):
            return ("accepts", theirs.refusal or "waits")
        us, them = mine.requests[index], theirs.requests[index]
        for part in ("method", "target", "version", "fields", "body"):
            if getattr(us, part) != getattr(them, part):
                return ("accepts", f"another {part}")
        if them.end not in (-1, us.end):
            return ("accepts", "another end")
        if not us.lives_on:
            # Nothing behind it is read.
            return None
    return None
