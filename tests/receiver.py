"""A receiver of webhooks that does what a test tells it to."""

import json
import ssl
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from condition import wait_until

TLS = Path(__file__).resolve().parent / "tls"
# Signed the certificate in receiver.pem, which is for localhost; both are for tests only.
AUTHORITY = TLS / "authority.pem"

# What a receiver can do instead of answering with a status code.
HANG = "hang"


class Receiver:
    """Listens on a free port; ``script`` is what it answers first, then it takes everything."""

    def __init__(self, *script: int | str, tls: bool = False) -> None:
        self.script = deque(script)
        self.received: list[dict[str, Any]] = []
        self.release = threading.Event()
        receiver = self

        class Conversation(BaseHTTPRequestHandler):
            """One webhook."""

            def do_POST(self) -> None:
                receiver.take(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Conversation)
        self.server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(TLS / "receiver.pem")
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://localhost:{self.server.server_port}/hooks?token=secret"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))

    def take(self, conversation: BaseHTTPRequestHandler) -> None:
        """Notes a webhook and answers as the script says."""
        length = int(conversation.headers["Content-Length"])
        assert conversation.headers["Content-Type"] == "application/json"
        webhook: dict[str, Any] = json.loads(conversation.rfile.read(length))
        reply = self.script.popleft() if self.script else 200
        self.received.append(webhook)
        if reply == HANG:
            self.release.wait(30)
            return
        conversation.send_response(int(reply))
        conversation.send_header("Content-Length", "0")
        conversation.end_headers()

    def told(self) -> list[tuple[str, str]]:
        """Type and status of everything that has come so far."""
        return [(webhook["type"], webhook["status"]) for webhook in self.received]

    def wait_for(self, count: int, deadline: float = 15.0) -> list[tuple[str, str]]:
        """Waits for so many webhooks."""
        return wait_until(
            lambda: told if len(told := self.told()) >= count else [],
            deadline,
            f"{count} webhooks",
        )

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
