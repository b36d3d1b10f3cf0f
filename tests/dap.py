"""A debugger as an editor is one: speaks the Debug Adapter Protocol over a socket."""

import json
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PATIENCE_SECONDS = 30.0


class Debugger:
    """Attached to a server; messages that nobody has waited for yet are kept."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)
        self.stream = self.socket.makefile("rwb")
        self.sequence = 0
        self.kept: list[dict[str, Any]] = []

    def attach(self, file: Path, line: int) -> None:
        """Attaches, with a breakpoint there."""
        self.ask("initialize", adapterID="tests", linesStartAt1=True, pathFormat="path")
        attached = self.send("attach", justMyCode=False)
        self.event("initialized")
        (breakpoint_set,) = self.ask(
            "setBreakpoints", source={"path": str(file)}, breakpoints=[{"line": line}]
        )["breakpoints"]
        assert breakpoint_set["verified"], breakpoint_set
        self.ask("configurationDone")
        self.answer(attached)

    def send(self, command: str, **arguments: object) -> int:
        """Sends a request; returns its number."""
        self.sequence += 1
        request = {"seq": self.sequence, "type": "request", "command": command}
        body = json.dumps({**request, "arguments": arguments}).encode()
        self.stream.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.stream.flush()
        return self.sequence

    def ask(self, command: str, **arguments: object) -> dict[str, Any]:
        """Sends a request; returns the body of its answer."""
        return self.answer(self.send(command, **arguments))

    def answer(self, number: int) -> dict[str, Any]:
        """The body of an answer."""
        found = self.wait_for("request_seq", number)
        assert found["success"], found
        body: dict[str, Any] = found.get("body") or {}
        return body

    def event(self, name: str) -> dict[str, Any]:
        """The body of the next event of that name."""
        body: dict[str, Any] = self.wait_for("event", name).get("body") or {}
        return body

    def wait_for(self, key: str, value: object) -> dict[str, Any]:
        """The first message in which this is so."""
        while True:
            for message in self.kept:
                if message.get(key) == value:
                    self.kept.remove(message)
                    return message
            self.kept.append(self.read())

    def read(self) -> dict[str, Any]:
        """The next message."""
        length = 0
        while line := self.stream.readline().strip():
            name, _, text = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(text)
        message: dict[str, Any] = json.loads(self.stream.read(length))
        return message

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stream.close()
        self.socket.close()
