"""What structlog gets instead of lines, where it can be imported."""

import re

import pytest

from condition import wait_until
from contract.target import Serve, Target
from events import parsed
from packages import directory_with
from serving import free_port

mark = pytest.mark


@pytest.fixture(scope="module")
def structlog() -> dict[str, str]:
    """Puts structlog on a server's path."""
    return {"PYTHONPATH": str(directory_with("structlog"))}


def event(target: Target, name: str) -> tuple[str, dict[str, str]]:
    """The level and the fields of the first event of that name."""
    shown = re.compile(rf"\[(\w+) *\] {re.escape(name)} *$")

    def found() -> list[tuple[str, dict[str, str]]]:
        events = map(parsed, target.log().splitlines())
        return [(match[1], fields) for text, fields in events if (match := shown.match(text))]

    return wait_until(found, target.patience, name)[0]


@mark.row("events.start")
def test_the_start_is_told_in_events(serve: Serve, structlog: dict[str, str]) -> None:
    target = serve.shared(env=structlog)
    assert set(event(target, "Tornado-powered Django web server.")[1]) == {"hurricane"}
    port = str(target.probe_port)
    paths = {"liveness": "/alive", "readiness": "/ready", "startup": "/startup"}
    probes = {"active": "True", "integrated": "False", "port": port, **paths}
    assert event(target, "Probe configured") == ("info", probes)
    metrics = {"active": "True", "port": port, "route": "/metrics"}
    assert event(target, "Prometheus configured") == ("info", metrics)
    assert event(target, "Memory allocation check")[1] == {"active": "False"}
    level, fields = event(target, "HTTP configured")
    assert (level, set(fields)) == ("info", {"time", "port", "workers"})
    assert fields["port"] == str(target.port)
    assert float(fields["time"]) > 0
    assert not target.lines_with("Starting HTTP Server")


@mark.row("events.off")
def test_what_is_off_is_told_in_events(serve: Serve, structlog: dict[str, str]) -> None:
    target = serve("--no-probe", "--max-memory", "4000", env=structlog, wait=False)
    assert event(target, "Probes configured") == ("info", {"active": "False"})
    assert event(target, "Prometheus configured") == ("info", {"active": "False"})
    memory = {"active": "True", "max_memory_mb": "4000"}
    assert event(target, "Memory allocation check") == ("info", memory)


@mark.row("events.integrated")
def test_probes_on_the_same_port_are_told_in_an_event(
    serve: Serve, structlog: dict[str, str]
) -> None:
    port = str(free_port())
    words = ["--port", port, "--probe-port", port]
    target = serve(*words, env=structlog, places=False, wait=False)
    level, fields = event(target, "Probe configured")
    assert (level, fields["integrated"], fields["port"]) == ("info", "True", port)


@mark.row("events.command")
def test_a_command_is_told_in_an_event(serve: Serve, structlog: dict[str, str]) -> None:
    target = serve("--command", "errand first --loud", env=structlog, wait=False)
    level, fields = event(target, "Command executed")
    assert (level, set(fields)) == ("info", {"command", "time"})
    assert fields["command"] == "['errand', 'first', '--loud']"


@mark.row("events.files")
def test_static_files_are_told_in_an_event(
    serve: Serve, structlog: dict[str, str], tmp_path: object
) -> None:
    settings = {"STATIC_URL": "/static/", "STATIC_ROOT": str(tmp_path)}
    target = serve("--static", env=structlog, settings=settings, wait=False)
    fields = {"prefix": "/static/", "root": str(tmp_path)}
    assert event(target, "Serving statics") == ("info", fields)


@mark.row("events.answer")
@mark.parametrize(
    ("path", "status", "level"),
    [("/named/a", 200, "info"), ("/nowhere", 404, "warning"), ("/raise", 500, "error")],
)
def test_an_answer_is_an_event(
    serve: Serve, structlog: dict[str, str], path: str, status: int, level: str
) -> None:
    target = serve.shared(env=structlog)
    asked = ["X-Request-ID: 4711", "traceparent: 00-a-b-01"]
    assert target.get(f"{path}?query", *asked).status == status
    line = target.wait_for_text(f"TX GET {path} ")
    text, fields = parsed(line)
    assert re.fullmatch(rf"\[{level} *\] TX GET {path} [\d.]+ms", text), text
    assert float(fields.pop("request_time")) > 0
    assert fields.pop("hurricane")
    assert fields == {
        "protocol": "http",
        "method": "GET",
        "path": path,
        "status": str(status),
        "remote_ip": "127.0.0.1",
        "id": "4711",
        "traceparent": "00-a-b-01",
    }


@mark.row("events.absent")
def test_what_a_request_does_not_bring_is_not_available(
    serve: Serve, structlog: dict[str, str]
) -> None:
    target = serve.shared(env=structlog)
    target.get("/named/absent")
    _, fields = parsed(target.wait_for_text("TX GET /named/absent "))
    assert fields["traceparent"] == "n/a"


@mark.row("events.identifier")
def test_the_identifier_that_was_given_is_in_the_event(
    serve: Serve, structlog: dict[str, str]
) -> None:
    target = serve.shared(env=structlog)
    given = target.get("/named/given").header("X-Request-ID")
    assert parsed(target.wait_for_text("TX GET /named/given "))[1]["id"] == given


@mark.old("events.identifier")
def test_an_event_had_no_identifier_that_was_not_sent(
    serve: Serve, structlog: dict[str, str]
) -> None:
    target = serve.shared(env=structlog)
    target.get("/named/given")
    assert parsed(target.wait_for_text("TX GET /named/given "))[1]["id"] == "n/a"
