"""Tests as projects have them: nothing here knows which of the two packages is installed."""

import tempfile
from pathlib import Path

from hurricane.server import sanitize_probes
from hurricane.testing import HurricaneWebhookServerTest, HurricanServerTest
from hurricane.testing.actors import HTTPClient
from hurricane.testing.drivers import BusyPortException
from hurricane.webhooks import StartupWebhook, webhook_registry
from hurricane.webhooks.base import Webhook, WebhookStatus
from hurricane.webhooks.exceptions import WebhookCodeAlreadyRegistered
from shop.drivers import HOOKS, PORT, PORTS, PROBE_PORT, RECEIVER_PORT, ReceiverDriver, ShopDriver


class ServerTests(HurricanServerTest):
    """The server as a process."""

    driver = ShopDriver

    @HurricanServerTest.cycle_server(args=PORTS, coverage=False)
    def test_it_starts_with_the_lines_that_are_looked_for(self) -> None:
        out, _ = self.driver.get_output(read_all=True)
        self.assertIn("Tornado-powered Django web server. Version: ", out)
        self.assertIn(
            f"Starting probe application running on port {PROBE_PORT} with route liveness-probe: "
            "/alive, readiness-probe: /ready, startup-probe: /startup",
            out,
        )
        self.assertIn(f"Starting HTTP Server on port {PORT}", out)
        self.assertIn("Startup time is ", out)

    @HurricanServerTest.cycle_server(args=PORTS, coverage=False)
    def test_probes_and_pages_answer_as_soon_as_it_was_started(self) -> None:
        for path in ("/startup", "/alive", "/ready", "/ready/"):
            self.assertEqual(self.probe_client.get(path).status, 200, path)
        self.assertEqual(self.probe_client.post("/startup", data=None).status, 200)
        self.assertEqual(self.probe_client.get("/startup//").status, 404)
        answer = self.app_client.get("/")
        self.assertEqual((answer.status, answer.text), (200, "the shop"))
        self.assertEqual(self.app_client.head("/").text, "")

    @HurricanServerTest.cycle_server(args=PORTS, coverage=False)
    def test_requests_are_logged(self) -> None:
        self.assertEqual(self.app_client.get("/nowhere?a=b").status, 404)
        out, err = self.driver.get_output(read_all=True)
        self.assertIn("404 GET /nowhere?a=b (127.0.0.1)", out.replace("::1", "127.0.0.1"))
        self.assertEqual(err, "")

    @HurricanServerTest.cycle_server(args=PORTS, coverage=False)
    def test_lines_come_one_by_one(self) -> None:
        self.app_client.get("/one-by-one")
        lines = []
        while (output := self.driver.get_output()) is not None:
            lines.append(output[0])
        self.assertTrue(any("/one-by-one" in line for line in lines), lines)

    @HurricanServerTest.cycle_server(args=[*PORTS, "--command", "check"], coverage=False)
    def test_commands_run_before_it_serves(self) -> None:
        out, _ = self.driver.get_output(read_all=True)
        self.assertIn("Starting execution of management commands", out)
        self.assertIn("Starting execution of command check with arguments []", out)
        self.assertIn("System check identified no issues", out)
        self.assertEqual(self.probe_client.get("/startup").status, 200)
        self.assertEqual(self.app_client.get("/").status, 200)

    @HurricanServerTest.cycle_server(
        args=[*PORTS, "--check-migrations"],
        env={"SHOP_DATABASE": str(Path(tempfile.gettempdir()) / f"shop-{PORT}")},
        coverage=False,
    )
    def test_migrations_are_looked_at(self) -> None:
        out, _ = self.driver.get_output(read_all=True)
        self.assertIn("Database was checked successfully", out)
        self.assertIn("No pending migrations", out)

    @HurricanServerTest.cycle_server(args=[*PORTS, "--startup-probe", "probe"], coverage=False)
    def test_probes_have_other_paths(self) -> None:
        self.assertEqual(self.probe_client.get("/probe").status, 200)
        self.assertEqual(self.probe_client.get("/startup").status, 404)

    @HurricanServerTest.cycle_server(args=["--port", PORT, "--no-probe"], coverage=False)
    def test_probes_can_be_left_out(self) -> None:
        out, _ = self.driver.get_output(read_all=True)
        self.assertIn("No probe application running", out)
        self.assertEqual(self.app_client.get("/").status, 200)

    @HurricanServerTest.cycle_server(args=PORTS, coverage=False)
    def test_files_are_sent(self) -> None:
        file = Path(__file__)
        answer = self.app_client.post_file("/upload", str(file))
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer["text"], f"tests.py {file.stat().st_size}")

    @HurricanServerTest.cycle_server(args=[*PORTS, "--max-body-size", "1024"], coverage=False)
    def test_files_that_are_too_large_end_the_connection(self) -> None:
        with tempfile.NamedTemporaryFile(suffix=".txt") as file:
            file.write(b"x" * 16 * 1024 * 1024)
            file.flush()
            with self.assertRaises((ConnectionResetError, BrokenPipeError)):
                self.app_client.post_file("/upload", file.name)

    @HurricanServerTest.cycle_server(args=PORTS, coverage=False)
    def test_a_second_driver_finds_the_ports_busy(self) -> None:
        with self.assertRaises(BusyPortException):
            ShopDriver()

    def test_a_test_that_fails_leaves_no_server(self) -> None:
        def failing(_self: ServerTests) -> None:
            raise ValueError("in the test")

        with self.assertRaises(ValueError):
            HurricanServerTest.cycle_server(args=PORTS, coverage=False)(failing)(self)
        self.driver.proc.wait(10)

    def test_drivers_start_servers_without_a_test_case(self) -> None:
        driver = ShopDriver()
        self.addCleanup(driver.stop_server)
        driver.start_server(params=PORTS, coverage=False, env={"HURRICANE_READINESS_PROBE": "/rd"})
        host, port = driver.get_server_host_port(probe_port=True)
        self.assertEqual((host, port), ("localhost", int(PROBE_PORT)))
        self.assertEqual(HTTPClient(host, port).get("/rd").status, 200)
        driver.stop_server()
        driver.proc.wait(10)


class WebhookTests(HurricaneWebhookServerTest):
    """What the server tells a receiver."""

    driver = ReceiverDriver

    def tell(self, *params: str, env: dict[str, str] | None = None) -> str:
        """Serves for a moment; returns what the receiver has written."""
        server = ShopDriver()
        server.start_server(params=[*PORTS, *HOOKS, *params], coverage=False, env=env)
        out, _ = self.driver.get_output(read_all=True)
        server.stop_server()
        server.proc.wait(10)
        return str(out)

    @HurricaneWebhookServerTest.cycle_server(args=["--port", RECEIVER_PORT], coverage=False)
    def test_a_start_is_told(self) -> None:
        out = self.tell()
        self.assertIn("Started webhook receiver server", out)
        self.assertIn("succeeded", out)

    @HurricaneWebhookServerTest.cycle_server(args=["--port", RECEIVER_PORT], coverage=False)
    def test_a_start_that_fails_is_told(self) -> None:
        out = self.tell("--command", "nothing")
        self.assertIn("failed", out)
        self.assertIn("Unknown command", out)

    @HurricaneWebhookServerTest.cycle_server(args=["--port", RECEIVER_PORT], coverage=False)
    def test_settings_are_chosen_by_the_environment(self) -> None:
        out = self.tell(env={"DJANGO_SETTINGS_MODULE": "shop.settings_versioned"})
        self.assertIn("succeeded", out)

    @HurricaneWebhookServerTest.cycle_server(args=["--port", RECEIVER_PORT], coverage=False)
    def test_other_paths_are_refused(self) -> None:
        receiver = HTTPClient("localhost", int(RECEIVER_PORT))
        self.assertEqual(receiver.post("/elsewhere", data={"status": "failed"}).status, 404)
        answer = HTTPClient("localhost", int(RECEIVER_PORT)).post("/webhook", data={})
        self.assertEqual((answer.status, answer.text), (200, "Received webhook"))
        out, _ = self.driver.get_output(read_all=True)
        self.assertIn("No status received", out)


class NameTests(HurricanServerTest):
    """What is used without a server."""

    driver = ShopDriver

    def test_webhooks_are_registered_once(self) -> None:
        with self.assertRaises(WebhookCodeAlreadyRegistered):
            webhook_registry.register(StartupWebhook)
        webhook_registry.unregister(StartupWebhook)
        with self.assertRaises(KeyError):
            webhook_registry.get("startup")
        webhook_registry.register(StartupWebhook)
        self.assertIs(StartupWebhook.get_from_registry(), webhook_registry.get("startup"))

    def test_a_webhook_is_made_with_a_code(self) -> None:
        webhook = Webhook(code="new")
        webhook.set_status(WebhookStatus.WARNING)
        webhook.set_traceback("why")
        self.assertEqual(webhook.get_message()["status"], "warning")
        self.assertEqual(webhook.get_message()["traceback"], "why")

    def test_probe_paths_are_sanitized(self) -> None:
        probes = {"liveness_probe": "a live", "readiness_probe": "//r", "startup_probe": "/s"}
        _, paths = sanitize_probes(probes)
        self.assertEqual(
            paths, {"liveness_probe": "/alive", "readiness_probe": "/r", "startup_probe": "/s"}
        )
