"""Who talks to a server in a test: an HTTP client, a publisher, a receiver of webhooks."""

from __future__ import annotations

import http.client
import json
import logging
import mimetypes
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from hurricane.server.loggers import named

# A receiver reads no more of a webhook than this.
WEBHOOK_BYTES_MAX = 1024 * 1024


class HTTPClient:
    """One connection to a server."""

    class Response(dict[str, Any]):
        """``status`` and ``text``, as keys and as attributes."""

        status: int
        text: str

        def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - dict's signature
            super().__init__(*args, **kwargs)
            self.__dict__ = self

    def __init__(self, host: str, port: int) -> None:
        self.conn = http.client.HTTPConnection(host=host, port=port)

    def get(self, path: str) -> Response:
        """GET."""
        return self._ask("GET", path)

    def head(self, path: str) -> Response:
        """HEAD."""
        return self._ask("HEAD", path)

    def post(self, path: str, data: Any) -> Response:  # noqa: ANN401 - whatever JSON can say
        """POST with JSON."""
        return self._ask("POST", path, json.dumps(data).encode())

    def post_file(self, path: str, file_path: str) -> Response:
        """POST of a form with a file in its field ``file``."""
        file = Path(file_path)
        boundary = f"boundary{secrets.token_hex(16)}"
        content_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        head = (
            f"--{boundary}\r\n"
            f'Content-Disposition: form-data; name="file"; filename="{file.name}"\r\n'
            f"Content-Type: {content_type}\r\n\r\n"
        )
        body = head.encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        return self._ask(
            "POST", path, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        )

    def __del__(self) -> None:
        """Closes the connection: tests take a new client for each request."""
        self.conn.close()

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Response:
        self.conn.request(method, path, body, headers or {})
        answer = self.conn.getresponse()
        return self.Response(status=answer.status, text=answer.read().decode("utf-8"))


class TestPublisher:
    """Publishes messages to a broker; needs the package pika."""

    # It is no test, whatever its name makes pytest think.
    __test__ = False

    def __init__(self, host: str, port: int, vhost: str = "/") -> None:
        try:
            import pika
        except ImportError as error:
            raise ImportError(
                "publishing to a broker needs the package pika; install django-hurricane[amqp]"
            ) from error
        parameters = pika.ConnectionParameters(host=host, port=port, virtual_host=vhost)
        self.channel = pika.BlockingConnection(parameters).channel()

    def publish(self, exchange: str, queue: str, message: str) -> None:
        """Publishes a message with the queue's name as routing key."""
        self.channel.basic_publish(exchange=exchange, routing_key=queue, body=message)


class LoggingServer:
    """Something that logs what it is sent, for a test to find."""

    logger: Any = named(__name__)


class WebhookTestHandler(LoggingServer, BaseHTTPRequestHandler):
    """One webhook: logs its status and its traceback."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Takes the webhook."""
        length = min(int(self.headers.get("Content-Length") or 0), WEBHOOK_BYTES_MAX)
        body = self.rfile.read(length)
        if self.path.partition("?")[0] != WebhookReceiver.path:
            return self.reply(404, "Not found")
        try:
            data = json.loads(body)
        except ValueError:
            return self.reply(400, "A webhook is JSON")
        self.logger.info(data.get("status", "No status received"))
        self.logger.info(data.get("traceback", "No traceback received"))
        return self.reply(200, "Received webhook")

    def reply(self, status: int, text: str) -> None:
        """Answers."""
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its parent's name
        """Says nothing of requests."""


class WebhookReceiver:
    """Takes webhooks at ``/webhook``."""

    path = "/webhook"

    def listen(self, port: int, address: str = "") -> ThreadingHTTPServer:
        """Begins to take webhooks, on a thread of its own; port 0 lets the kernel choose."""
        server = ThreadingHTTPServer((address, port), WebhookTestHandler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, name="webhooks", daemon=True).start()
        return server


class WebhookReceiverServer(LoggingServer):
    """Makes a receiver of webhooks."""

    def make_http_receiver_app(self) -> WebhookReceiver:
        """A receiver that does not listen yet. Its lines go to stderr."""
        logging.basicConfig(level=logging.INFO)
        return WebhookReceiver()
