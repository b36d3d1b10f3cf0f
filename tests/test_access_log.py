"""A line for each answer: through Python's logging, through structlog, or by the server itself."""

import json
import re
import subprocess
from collections.abc import Generator
from functools import partial
from typing import Any

import pytest

import kubelet
import serving
import wire
from condition import wait_until
from conftest import Starter
from events import parsed
from packages import directory_with
from serving import PROJECT, Server, as_settings
from wire import request

LONG = "x" * 8000
FILES = ("--static-path", f"/files={PROJECT}")


def to_handler(handler: str = "logging.StreamHandler") -> dict[str, str]:
    """Settings under which everything from level info on is handled by one handler."""
    logging = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"marked": {"format": "handled %(name)s %(levelname)s %(message)s"}},
        "handlers": {"marked": {"class": handler, "formatter": "marked"}},
        "loggers": {"hurricane.server": {"handlers": ["marked"], "level": "INFO"}},
    }
    return as_settings(LOGGING=logging)


@pytest.fixture(scope="module")
def handled(engine: str) -> Generator[Server]:
    """A project whose logging takes the server's lines."""
    starter = Starter(engine)
    try:
        yield starter("--max-body-size", "10k", *FILES, env=to_handler())
    finally:
        starter.end()


@pytest.fixture(scope="module")
def native(engine: str) -> Generator[Server]:
    """A server that writes its access log itself."""
    starter = Starter(engine)
    try:
        yield starter("--access-log", "native", "--log-probes", "--max-body-size", "10k", *FILES)
    finally:
        starter.end()


def lines(server: Server, text: str, count: int = 1) -> list[str]:
    """The lines with that text, once there are so many; there must not be more."""
    found = wait_until(
        lambda: found if len(found := server.lines_with(text)) >= count else [],
        10,
        f"{count} lines with {text!r}",
    )
    assert len(found) == count
    return found


def has_answered(server: Server, count: int) -> bool:
    """Whether so many requests are counted; there must not be more."""
    requests: int = server.status()["totals"]["requests"]
    assert requests <= count
    return requests == count


@pytest.mark.parametrize(
    ("path", "status", "level"),
    [("/named/a?b=c%20d", 200, "INFO"), ("/nowhere?e", 404, "WARNING"), ("/raise?f", 500, "ERROR")],
)
def test_an_answer_is_a_line_of_python_logging(
    handled: Server, path: str, status: int, level: str
) -> None:
    assert handled.get(path).status == status
    line = lines(handled, f"{status} GET {path} ")[0]
    expected = rf"handled hurricane\.server\.access {level} {status} GET {re.escape(path)} "
    assert re.fullmatch(expected + r"\(127\.0\.0\.1\) \d+\.\d\dms", line), line


def test_every_answer_of_a_pipelined_connection_has_its_line(handled: Server) -> None:
    with handled.connect() as connection:
        connection.send(b"".join(request("GET", f"/named/row{n}") for n in range(100)))
        for _ in range(100):
            assert connection.response().status == 200
    lines(handled, "200 GET /named/row", 100)


def test_what_a_terminal_would_obey_is_escaped(handled: Server, native: Server) -> None:
    for server in (handled, native):
        with server.connect() as connection:
            raw = b"GET /named/escape\xc2\x9b31m HTTP/1.1\r\nHost: a\r\n"
            connection.send(raw + b"X-Request-ID: \x9b\tred\r\n\r\n")
            assert connection.response().status == 200
        line = lines(server, "/named/escape")[0]
        assert r"GET /named/escape\xc2\x9b31m (" in line
        assert "red" not in line


def test_what_the_application_never_sees_has_a_line_too(handled: Server, native: Server) -> None:
    for server in (handled, native):
        with server.connect() as connection:
            connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            assert connection.response().status == 400
        lines(server, "400 - - (127.0.0.1)")
        assert server.post("/sink?large", b"", "Content-Length: 20000").status == 413
        lines(server, "413 POST /sink?large (127.0.0.1)")


def test_a_file_has_its_line_and_is_counted(handled: Server, native: Server) -> None:
    for server in (handled, native):
        before: int = server.status()["totals"]["requests"]
        with server.connect() as connection:
            etag = connection.get("/files/manage.py?whole").header("ETag")
            connection.get("/files/manage.py?same", f"If-None-Match: {etag}")
            connection.get("/files/manage.py?part", "Range: bytes=0-3")
            connection.get("/files/none?missing")
        for line in (
            "200 GET /files/manage.py?whole (127.0.0.1)",
            "304 GET /files/manage.py?same (127.0.0.1)",
            "206 GET /files/manage.py?part (127.0.0.1)",
            "404 GET /files/none?missing (127.0.0.1)",
        ):
            lines(server, line)
        wait_until(partial(has_answered, server, before + 4), 5, "four more answers")


def test_an_answer_waits_for_no_handler(start: Starter) -> None:
    server = start(env=to_handler("stage.logs.Gate"))
    server.put("log-open")
    server.wait_for_ready()
    server.remove("log-open")
    assert server.get("/named/quick").text == "quick"
    wait_until(lambda: any("/named/quick" in line for line in server.lines("log-entered")), 10)
    assert server.lines_with("/named/quick") == []
    server.put("log-open")
    lines(server, "200 GET /named/quick")


def test_a_full_queue_is_logged_by_who_does_not_wait_for_it(start: Starter) -> None:
    server = start("--queue-size", "1", "--threads", "1", env=to_handler())
    holding, waiting = server.connect(), server.connect()
    holding.send(request("GET", "/hold/full"))
    wait_until((server.signals / "full-entered").exists, 10)
    waiting.send(request("GET", "/named/waiting"))
    wait_until(lambda: server.status()["totals"]["queued"] == 1, 10)
    assert server.get("/named/shed").status == 503
    lines(server, "hurricane.server.access ERROR 503 GET /named/shed")
    server.put("full-open")
    assert waiting.response().status == 200


def test_what_cannot_be_handed_over_is_dropped_and_counted(start_once: Starter) -> None:
    server = start_once("--max-body-size", "1", env=to_handler("stage.logs.Gate"))
    server.put("log-open")
    server.wait_for_ready()
    server.remove("log-open")
    for number in range(200):
        refused = server.post(f"/sink?{number}{LONG}", b"", "Content-Length: 2")
        assert refused.status == 413
    wait_until(lambda: server.status()["totals"]["unlogged"] > 0, 10)
    server.put("log-open")
    wait_until(lambda: "lines were dropped" in server.log(), 10)


def test_without_handlers_python_shows_what_is_at_least_a_warning(start_once: Starter) -> None:
    server = start_once()
    for path in ("/named/unheard", "/nowhere", "/raise"):
        server.get(path)
    assert re.fullmatch(r"404 GET /nowhere \(127\.0\.0\.1\) [\d.]+ms", lines(server, "nowhere")[0])
    assert lines(server, "500 GET /raise (127.0.0.1)")
    assert server.lines_with("unheard") == []


def test_a_native_line_looks_like_the_other_lines(native: Server) -> None:
    assert native.get("/named/native?q", "X-Request-ID: from-the-client").status == 200
    line = lines(native, "/named/native?q")[0]
    shape = r"[-\dT:.]+Z  INFO 200 GET /named/native\?q \(127\.0\.0\.1\) [\d.]+ms"
    assert re.fullmatch(shape + " id=from-the-client", line), line
    native.get("/raise?native")
    assert "Z ERROR 500 GET /raise?native" in lines(native, "GET /raise?native")[0]


def test_probes_are_logged_on_request(native: Server, handled: Server) -> None:
    for server in (native, handled):
        assert server.probe("/nowhere-to-probe").response.status == 404
    lines(native, "404 GET /nowhere-to-probe (127.0.0.1)")
    assert handled.lines_with("probe (127.0.0.1)") == []


def test_the_setting_for_probes_is_that_of_django_hurricane(start_once: Starter) -> None:
    settings = json.loads(to_handler()["STAGE_SETTINGS"])
    server = start_once(env=as_settings(**settings, LOG_PROBES=True))
    wait_until(lambda: server.probe("/alive").response.status == 200, 10)
    wait_until(lambda: server.lines_with("INFO 200 GET /alive (127.0.0.1)"), 10)


def test_probes_on_the_applications_port_are_logged_by_the_same_rule(start: Starter) -> None:
    port = serving.free_port()
    flags = ("--port", str(port), "--probe-port", str(port), "--access-log", "native")
    for wanted in ((), ("--log-probes",)):
        server = start(*flags, *wanted, wait=False)
        server.port = server.probe_port = port
        server.wait_for_start()
        server.get("/named/probed")
        lines(server, "GET /named/probed")
        assert bool(server.lines_with("GET /startup")) == bool(wanted)
        server.terminate()
        server.wait()


def test_a_json_log_has_the_access_log_in_it(start_once: Starter) -> None:
    server = start_once("--log-format", "json")
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    server.get("/named/json?q", f"traceparent: {trace}", "X-Request-ID: 17")
    record = json.loads(lines(server, "/named/json")[0])
    assert record.pop("request_time") > 0
    assert record.pop("message").startswith("200 GET /named/json?q (127.0.0.1) ")
    assert record.pop("timestamp")
    assert record == {
        "level": "INFO",
        "status": 200,
        "method": "GET",
        "path": "/named/json",
        "remote_ip": "127.0.0.1",
        "id": "17",
        "traceparent": trace,
        "target": "hurricane.server.access",
    }


def test_the_log_level_holds_for_native_lines(start_once: Starter) -> None:
    server = start_once("--access-log", "native", "--log-level", "warn")
    server.get("/named/below")
    server.get("/nowhere")
    lines(server, "404 GET /nowhere")
    assert server.lines_with("below") == []


def test_no_access_log_is_none(start_once: Starter) -> None:
    server = start_once("--access-log", "off", env=to_handler())
    server.get("/nowhere")
    server.terminate()
    assert server.wait() == 0
    assert server.lines_with("(127.0.0.1)") == []


def test_the_last_lines_are_written_before_a_worker_ends(start: Starter) -> None:
    for writer in ("native", "python"):
        server = start("--access-log", writer, env=to_handler())
        server.get("/named/last")
        server.terminate()
        assert server.wait() == 0
        lines(server, "200 GET /named/last")


def test_nobody_waits_for_a_reader_of_native_lines(start_once: Starter) -> None:
    """Of a pipe that nobody reads, the server holds a mebibyte of lines and drops the rest."""
    port, probe_port = serving.free_port(), serving.free_port()
    ours = ["--host", "127.0.0.1", "--port", str(port), "--probe-port", str(probe_port)]
    flags = ["--workers", "1", "--access-log", "native", "--log-level", "info"]
    process = subprocess.Popen(
        [*serving.command(None, "any"), *ours, *flags],
        cwd=PROJECT,
        env=serving.environment({}),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        wait_until(lambda: is_started(probe_port), 20, "startup")
        with wire.Connection(port) as connection:
            for _ in range(300):
                assert connection.get(f"/?{LONG}").status == 200
        wait_until(lambda: totals(probe_port)["unlogged"] > 0, 10)
    finally:
        process.kill()
        process.communicate()


def is_started(probe_port: int) -> bool:
    try:
        return kubelet.probe(probe_port, "/startup").response.status == 200
    except (OSError, wire.Closed):
        return False


def totals(probe_port: int) -> dict[str, Any]:
    found: dict[str, Any] = wire.get(probe_port, "/status").json()["totals"]
    return found


def test_structlog_gets_events_with_fields(start_once: Starter) -> None:
    path = str(directory_with("structlog"))
    server = start_once("--max-body-size", "1", "--log-probes", env={"PYTHONPATH": path})
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    server.get("/named/event?q", "X-Request-ID: 4711", f"traceparent: {trace}")
    event, fields = parsed(lines(server, "TX GET /named/event")[0])
    assert re.fullmatch(r"\[info     \] TX GET /named/event [\d.]+ms", event), event
    assert float(fields.pop("request_time")) > 0
    assert fields == {
        "hurricane": server.status()["server"]["version"],
        "protocol": "http",
        "method": "GET",
        "path": "/named/event",
        "status": "200",
        "remote_ip": "127.0.0.1",
        "id": "4711",
        "traceparent": trace,
    }
    given = server.get("/nowhere").header("X-Request-ID")
    event, fields = parsed(lines(server, "TX GET /nowhere")[0])
    assert event.startswith("[warning  ]")
    assert (fields["id"], fields["traceparent"]) == (given, "n/a")
    server.get("/raise")
    assert parsed(lines(server, "TX GET /raise")[0])[0].startswith("[error    ]")
    assert server.post("/sink", b"", "Content-Length: 2").status == 413
    assert parsed(lines(server, "TX POST /sink")[0])[1]["status"] == "413"
    server.probe("/missing")
    assert parsed(lines(server, "TX GET /missing")[0])[1]["id"] == "n/a"
