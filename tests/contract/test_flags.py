"""Flags, settings and variables of ``serve``, and what they do at the start."""

import signal
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import wire
from condition import wait_until
from contract.target import Contract, Serve, Target, listens
from serving import as_settings, free_port
from wire import request

mark = pytest.mark

FLAGS = [
    "--static",
    "--media",
    "--autoreload",
    "--debug",
    "--port",
    "--metrics",
    "--liveness-probe",
    "--readiness-probe",
    "--startup-probe",
    "--probe-port",
    "--req-queue-len",
    "--no-probe",
    "--no-metrics",
    "--command",
    "--check-migrations",
    "--check-migrations-apply",
    "--debugger",
    "--debugger-port",
    "--pycharm-host",
    "--pycharm-port",
    "--webhook-url",
    "--max-lifetime",
    "--max-memory",
    "--workers",
    "--static-watch",
    "--max-body-size",
    "--max-buffer-size",
]


@mark.row("flags.offered")
@mark.parametrize("flag", FLAGS)
def test_the_flag_is_offered(contract: Contract, flag: str) -> None:
    assert contract.offers("serve", flag)


@mark.row("flags.ports")
def test_the_probe_port_follows_the_port(serve: Serve) -> None:
    target = serve(places=False, wait=False, env={"HURRICANE_PORT": str(port := two_ports())})
    target.port, target.probe_port = port, port + 1
    target.wait_for_start()
    assert target.get("/").body == b"hello"


def two_ports() -> int:
    """A port that is free together with the next."""
    while True:
        port = free_port()
        with socket.socket() as probing:
            try:
                probing.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


@mark.row("flags.every-address")
def test_it_listens_on_every_address_of_both_kinds(serve: Serve) -> None:
    target = serve(env={"HURRICANE_HOST": "::"})
    for host in ("127.0.0.1", "::1"):
        assert listens(target.port, host), host
        assert listens(target.probe_port, host), host


@mark.row("flags.integrated")
def test_probes_may_share_the_port(serve: Serve) -> None:
    port = str(free_port())
    target = serve("--port", port, "--probe-port", port, places=False, wait=False)
    target.port = target.probe_port = int(port)
    target.wait_for_start()
    target.wait_for_ready()
    assert target.get("/").body == b"hello"


@mark.row("flags.probe-paths")
def test_probe_paths_get_one_slash_and_lose_spaces(serve: Serve) -> None:
    paths = ["--liveness-probe", "//al ive", "--readiness-probe", "k8s/ready"]
    target = serve(*paths)
    target.wait_for_status("/k8s/ready", 200)
    target.wait_for_status("/alive/", 200)


@mark.row("flags.probe-paths-literal")
def test_probe_paths_are_literal(serve: Serve) -> None:
    target = serve("--liveness-probe", "/al.ve")
    target.wait_for_status("/al.ve", 200)
    assert target.probe("/alXve").response.status == 404


@mark.old("flags.probe-paths-literal")
def test_probe_paths_were_regular_expressions(serve: Serve) -> None:
    target = serve("--liveness-probe", "/al.ve")
    target.wait_for_status("/alXve", 200)


@mark.row("flags.no-probe")
def test_without_probes_nothing_is_on_their_port(serve: Serve) -> None:
    target = serve("--no-probe", wait=False)
    target.wait_for_port(target.port)
    assert not listens(target.probe_port)


@mark.row("flags.precedence")
def test_the_command_line_wins_over_settings_over_the_environment(serve: Serve) -> None:
    paths = ["LIVENESS_PROBE", "READINESS_PROBE", "STARTUP_PROBE"]
    target = serve(
        "--startup-probe",
        "/startup",
        "--liveness-probe",
        "/typed",
        env={f"HURRICANE_{path}": "/variable" for path in paths[:2]},
        settings=dict.fromkeys(paths[:1], "/setting"),
    )
    target.wait_for_status("/typed", 200)
    target.wait_for_status("/variable", 200)
    assert target.probe("/setting").response.status == 404


@mark.row("flags.bare-settings")
def test_settings_without_a_prefix_are_read(serve: Serve) -> None:
    settings = {"LIVENESS_PROBE": "/setting", "REQ_QUEUE_LEN": 0}
    target = serve(settings=settings, env={"HURRICANE_LIVENESS_PROBE": "/variable"})
    target.wait_for_status("/setting", 200)
    target.wait_for_status("/ready", 400)
    assert target.probe("/variable").response.status == 404


@mark.row("flags.typed-default")
def test_a_typed_value_wins_also_when_it_is_the_default(serve: Serve) -> None:
    target = serve("--liveness-probe", "/alive", env={"HURRICANE_LIVENESS_PROBE": "/variable"})
    target.wait_for_status("/alive", 200)
    assert target.probe("/variable").response.status == 404


@mark.old("flags.typed-default")
def test_a_typed_default_counted_as_not_given(serve: Serve) -> None:
    target = serve("--liveness-probe", "/alive", env={"HURRICANE_LIVENESS_PROBE": "/variable"})
    target.wait_for_status("/variable", 200)


@mark.row("flags.prefixed-settings")
def test_settings_with_the_prefix_are_read_first(serve: Serve) -> None:
    settings = {"HURRICANE_LIVENESS_PROBE": "/prefixed", "LIVENESS_PROBE": "/bare"}
    target = serve(settings=settings)
    target.wait_for_status("/prefixed", 200)


@mark.old("flags.prefixed-settings")
def test_settings_with_the_prefix_were_not_read(serve: Serve) -> None:
    settings = {"HURRICANE_LIVENESS_PROBE": "/prefixed", "LIVENESS_PROBE": "/bare"}
    target = serve(settings=settings)
    target.wait_for_status("/bare", 200)


@mark.row("flags.booleans")
def test_a_variable_that_says_false_is_off(serve: Serve) -> None:
    target = serve(env={"HURRICANE_NO_PROBE": "False"}, wait=False)
    target.wait_for_status("/startup", 200)


@mark.old("flags.booleans")
def test_a_variable_that_said_false_was_on(serve: Serve) -> None:
    target = serve(env={"HURRICANE_NO_PROBE": "False"}, wait=False)
    target.wait_for_port(target.port)
    assert not listens(target.probe_port)


@mark.row("flags.zero")
def test_a_variable_that_is_zero_is_off(serve: Serve) -> None:
    target = serve(env={"HURRICANE_NO_PROBE": "0"}, wait=False)
    target.wait_for_status("/startup", 200)


@mark.row("flags.wrong-value")
def test_a_wrong_value_is_one_sentence_and_code_2(contract: Contract) -> None:
    ended = contract.run("manage.py", "serve", env={"HURRICANE_PORT": "abc"})
    assert ended.code == 2
    assert "variable HURRICANE_PORT cannot be 'abc'" in ended.err
    assert "Traceback" not in ended.err


@mark.old("flags.wrong-value")
def test_a_wrong_value_ended_with_code_1(contract: Contract) -> None:
    env = {"HURRICANE_PORT": "abc", **contract.surroundings(legacy=True)}
    assert contract.run("manage.py", "serve", env=env).code == 1


@mark.row("flags.foreign-settings")
def test_a_setting_of_somebody_else_is_left_alone(serve: Serve) -> None:
    settings = {"WORKERS": {"of": "another package"}, "METRICS": {"of": "another package"}}
    target = serve(settings=settings, wait=False)
    target.wait_for_status("/startup", 200)


@mark.row("flags.debug-setting")
def test_djangos_debug_reloads_nothing(serve: Serve, tmp_path: Path) -> None:
    module = tmp_path / "changing.py"
    module.touch()
    apps = ["django.contrib.contenttypes", "hurricane", "agreed", "changing"]
    target = serve(
        settings={"DEBUG": True, "INSTALLED_APPS": apps}, env={"PYTHONPATH": str(tmp_path)}
    )
    first = target.get("/").status
    begun = len(target.log())

    def reloads() -> bool:
        # Again and again: the original remembers the time of a file at its first look.
        module.write_text("CHANGED = True")
        said = target.log()[begun:]
        return "Tornado-powered" in said or "files have changed" in said

    # Only time can show that nothing comes: the original looks twice a second.
    with pytest.raises(AssertionError):
        wait_until(reloads, 10.0 if serve.original or serve.legacy else 1.5)
    assert target.get("/").status == first == 200


@mark.row("flags.command")
def test_commands_run_in_order_before_it_serves(serve: Serve) -> None:
    words = ["--command", "errand first", "--command", "errand second --loud"]
    target = serve(*words)
    assert target.lines("errands") == ["first", "second|loud"]


@mark.row("flags.command-quoted")
def test_commands_are_quoted_as_by_a_shell(serve: Serve) -> None:
    target = serve("--command", "errand 'a b'", wait=False)
    assert target.wait_for_lines("errands", 1) == ["a b"]


@mark.old("flags.command-quoted")
def test_commands_were_split_at_spaces(serve: Serve) -> None:
    target = serve("--command", "errand 'a b'", wait=False)
    assert target.wait_for_lines("errands", 1) == ["'a|b'"]


@mark.row("flags.command-variable")
def test_commands_may_come_from_the_environment(serve: Serve) -> None:
    target = serve(env={"HURRICANE_COMMAND": "errand first\nerrand second"}, wait=False)
    assert target.wait_for_lines("errands", 2) == ["first", "second"]


@mark.row("flags.command-surplus")
def test_words_behind_a_command_are_refused(contract: Contract) -> None:
    words = ["--command", "errand first", "errand second", "--port", "0", "--probe-port", "0"]
    assert contract.run("manage.py", "serve", *words).code == 2


@mark.old("flags.command-surplus")
def test_words_behind_a_command_were_dropped(serve: Serve) -> None:
    target = serve("--command", "errand first", "errand second")
    assert target.lines("errands") == ["first"]


def failing(contract: Contract, tmp_path: Path, *words: str, **env: str) -> int:
    """The exit code of a start that fails."""
    ports = ["--port", str(free_port()), "--probe-port", str(free_port())]
    signals = {"STAGE_SIGNALS": str(tmp_path), "STAGE_DATABASE": str(tmp_path / "db"), **env}
    return contract.run("manage.py", "serve", *ports, *words, env=signals).code


@mark.row("flags.command-fails")
def test_a_command_that_fails_ends_the_start_with_code_5(
    contract: Contract, tmp_path: Path
) -> None:
    assert failing(contract, tmp_path, "--command", "errand refuse") == 5


@mark.old("flags.command-fails")
def test_a_command_that_failed_ended_the_start_with_code_0(
    contract: Contract, tmp_path: Path
) -> None:
    env = contract.surroundings(legacy=True)
    assert failing(contract, tmp_path, "--command", "errand refuse", **env) == 0


@mark.row("flags.command-exits")
def test_a_command_that_exits_ends_the_start_with_code_5(serve: Serve) -> None:
    target = serve("--command", "errand exit 5", wait=False)
    assert target.wait(target.patience) == (0 if serve.legacy else 5)


@mark.row("start.system-checks")
def test_an_error_of_the_system_checks_ends_the_start(contract: Contract, tmp_path: Path) -> None:
    (tmp_path / "start-fails").touch()
    assert failing(contract, tmp_path) == 1


@mark.row("start.deployment-checks")
def test_checks_for_deployment_do_not_end_the_start(serve: Serve) -> None:
    target = serve("--command", "errand first", wait=False)
    target.put("readiness-fails")
    target.wait_for_status("/startup", 200)


def with_migrations(serve: Serve, *flags: str) -> Target:
    """A server whose database has no tables yet."""
    target = serve("--check-migrations", *flags, wait=False)
    target.wait_for_status("/startup", 400)
    return target


def tables(path: Path) -> int:
    """How many migrations a database has had."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT count(*) FROM django_migrations WHERE app = 'agreed'")
        return int(found.fetchone()[0])


@mark.row("flags.check-migrations")
def test_it_serves_when_somebody_has_applied_the_migrations(
    serve: Serve, contract: Contract
) -> None:
    target = with_migrations(serve)
    target.wait_for_text("pending")
    env = {"STAGE_SIGNALS": str(target.signals), "STAGE_DATABASE": str(target.signals / "db")}
    assert contract.run("manage.py", "migrate", env=env).code == 0
    target.wait_for_status("/startup", 200)


@mark.row("flags.check-migrations-apply")
def test_it_applies_the_migrations(serve: Serve) -> None:
    target = serve("--check-migrations-apply")
    assert tables(target.signals / "db") == 2


@mark.row("flags.check-migrations-stop")
def test_waiting_for_migrations_can_be_ended(serve: Serve) -> None:
    target = with_migrations(serve)
    target.wait_for_text("pending")
    target.terminate()
    assert target.wait(target.patience) == 0


@mark.row("flags.check-migrations-aliases")
def test_migrations_of_every_database_are_awaited(serve: Serve, tmp_path: Path) -> None:
    engine = "django.db.backends.sqlite3"
    databases = {
        alias: {"ENGINE": engine, "NAME": str(tmp_path / alias)} for alias in ("default", "second")
    }
    serve("--check-migrations-apply", settings={"DATABASES": databases})
    assert [tables(tmp_path / alias) for alias in ("default", "second")] == [2, 2]


@mark.old("flags.check-migrations-aliases")
def test_migrations_of_other_databases_were_awaited(
    serve: Serve, contract: Contract, tmp_path: Path
) -> None:
    engine = "django.db.backends.sqlite3"
    databases = {
        alias: {"ENGINE": engine, "NAME": str(tmp_path / alias)} for alias in ("default", "second")
    }
    target = serve("--check-migrations-apply", settings={"DATABASES": databases}, wait=False)
    target.wait_for_status("/startup", 400)
    target.until(lambda: has_tables(tmp_path / "default"), "the migrations of default")
    assert target.probe("/startup").response.status == 400
    signals = {"STAGE_SIGNALS": str(target.signals), **as_settings(DATABASES=databases)}
    assert contract.run("manage.py", "migrate", "--database", "second", env=signals).code == 0
    target.wait_for_status("/startup", 200)


def has_tables(path: Path) -> bool:
    """Whether a database has had its migrations."""
    try:
        return tables(path) == 2
    except sqlite3.OperationalError:
        return False


@mark.old("flags.check-migrations-database")
def test_a_database_that_was_not_there_ended_the_start_with_code_0(
    contract: Contract, tmp_path: Path
) -> None:
    env = {**contract.surroundings(legacy=True), "STAGE_DATABASE": "/nonexistent/db"}
    assert failing(contract, tmp_path, "--check-migrations", **env) == 0


@mark.row("flags.check-migrations-database")
def test_a_database_that_is_not_there_is_waited_for(serve: Serve, tmp_path: Path) -> None:
    place = tmp_path / "place"
    command = ["--command", "errand wait gate"]
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(place / "db")}
    place.mkdir()
    target = serve(
        *command,
        "--check-migrations-apply",
        settings={"DATABASES": {"default": database}},
        wait=False,
    )
    target.wait_for_lines("gate-entered", 1)
    place.rename(tmp_path / "away")
    target.put("gate-open")
    target.until(
        lambda: "unable to open database file" in target.log(), "the database to be missed"
    )
    (tmp_path / "away").rename(place)
    target.wait_for_status("/startup", 200)


@mark.row("start.port-opens-last")
def test_who_comes_before_the_start_has_finished_is_answered_later(serve: Serve) -> None:
    target = serve("--command", "errand wait gate", wait=False)
    target.wait_for_lines("gate-entered", 1)
    try:
        early = target.connect()
        early.send(request("GET", "/"))
    finally:
        target.put("gate-open")
    assert early.response().body == b"hello"


@mark.old("start.port-opens-last")
def test_connections_were_refused_before_the_start_had_finished(serve: Serve) -> None:
    target = serve("--command", "errand wait gate", wait=False)
    target.wait_for_lines("gate-entered", 1)
    refused = not listens(target.port)
    target.put("gate-open")
    assert refused
    target.wait_for_start()
    assert target.get("/").body == b"hello"


@mark.row("start.port-busy")
def test_a_port_that_is_taken_ends_the_start(serve: Serve) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        target = serve("--port", port, "--probe-port", str(free_port()), places=False, wait=False)
        assert target.wait(target.patience) == 1
    assert port in target.log()


@mark.row("flags.max-lifetime")
def test_after_its_lifetime_liveness_fails(serve: Serve) -> None:
    target = serve("--max-lifetime", "2")
    assert [target.get("/").status for _ in range(2)] == [200, 200]
    assert target.probe("/alive").response.status == 200
    target.get("/nowhere")
    target.wait_for_status("/alive", 400)
    assert target.probe("/ready").response.status in {200, 400}
    assert target.probe("/startup").response.status == 200


@mark.row("flags.max-lifetime-says")
def test_liveness_says_that_its_lifetime_is_over(serve: Serve) -> None:
    target = serve("--max-lifetime", "1")
    assert [target.get("/").status for _ in range(2)] == [200, 200]
    said = "2 requests have been served, more than --max-lifetime 1"
    assert target.wait_for_status("/alive", 400).text == said


@mark.old("flags.max-lifetime-says")
def test_liveness_did_not_say_that_its_lifetime_was_over(serve: Serve) -> None:
    target = serve("--max-lifetime", "1")
    assert [target.get("/").status for _ in range(2)] == [200, 200]
    assert target.wait_for_status("/alive", 400).body == b""


def short_lived_on_one_port(serve: Serve) -> Target:
    """A server for two requests, whose probes share the application's port; starting."""
    port = str(free_port())
    flags = ["--port", port, "--probe-port", port, "--max-lifetime", "2"]
    target = serve(*flags, places=False, wait=False)
    target.port = target.probe_port = int(port)
    return target


@mark.row("flags.max-lifetime-probes")
def test_probes_are_no_part_of_the_lifetime(serve: Serve) -> None:
    target = short_lived_on_one_port(serve)
    target.wait_for_start()
    assert [target.probe("/alive").response.status for _ in range(6)] == [200] * 6


@mark.old("flags.max-lifetime-probes")
def test_probes_were_a_part_of_the_lifetime(serve: Serve) -> None:
    target = short_lived_on_one_port(serve)
    target.wait_for_status("/alive", 400)
    target.until(
        lambda: (
            target.probe("/startup").response.status == 200
            and target.probe("/alive").response.status == 400
        ),
        "probes to have ended the lifetime",
    )


@mark.row("flags.max-lifetime-without-metrics")
def test_the_lifetime_ends_also_without_metrics(serve: Serve) -> None:
    target = serve("--max-lifetime", "1", "--no-metrics")
    assert [target.get("/").status for _ in range(2)] == [200, 200]
    target.wait_for_status("/alive", 400)


@mark.old("flags.max-lifetime-without-metrics")
def test_the_lifetime_never_ended_without_metrics(serve: Serve) -> None:
    target = serve("--max-lifetime", "1", "--no-metrics")
    assert [target.get("/").status for _ in range(3)] == [200] * 3
    assert target.probe("/alive").response.status == 200


@mark.row("flags.max-memory-suffix")
def test_memory_may_have_a_unit(serve: Serve) -> None:
    target = serve("--max-memory", "4096M", wait=False)
    target.wait_for_status("/startup", 200)


@mark.row("flags.max-memory")
def test_memory_is_in_mebibytes(serve: Serve) -> None:
    target = serve("--max-memory", "4096")
    assert target.get("/").status == 200


@mark.row("flags.max-memory-too-small")
def test_memory_that_cannot_suffice_restarts_nothing_for_ever(serve: Serve) -> None:
    target = serve("--max-memory", "1")
    with target.connect() as connection:
        connection.send(request("GET", "/hold/gate"))
        target.wait_for_lines("gate-entered", 1)
        target.put("gate-open")
        assert connection.response().body == b"released"
    assert len(target.lines_with("Tornado-powered")) <= 1


@mark.row("flags.workers")
def test_workers_are_processes(serve: Serve) -> None:
    target = serve("--workers", "2", env={"HURRICANE_THREADS": "1"})
    pids: set[str | None] = set()

    def both() -> bool:
        pids.add(target.get("/").header("Worker-Pid"))
        return len(pids) == 2

    target.until(both, "two workers to answer")


@mark.old("flags.workers")
def test_workers_were_threads_of_one_process(serve: Serve) -> None:
    target = serve.shared("--workers", "2", "--max-body-size", "1000", "--max-buffer-size", "2000")
    with target.connect() as first, target.connect() as second:
        first.send(request("GET", "/hold/gate"))
        target.wait_for_lines("gate-entered", 1)
        # Beside the one that is held.
        second.send(request("GET", "/"))
        pid = second.response().header("Worker-Pid")
        target.put("gate-open")
        assert first.response().header("Worker-Pid") == pid


@mark.row("limits.body")
def test_a_body_over_the_limit_is_answered_413(serve: Serve) -> None:
    target = serve.shared("--max-body-size", "1000", "--max-buffer-size", "2000")
    head = request("POST", "/echo", "Content-Length: 1001")
    assert target.refused(head) == 413


@mark.old("limits.body")
def test_a_body_over_the_limit_was_a_bad_request(serve: Serve) -> None:
    target = serve.shared("--workers", "2", "--max-body-size", "1000", "--max-buffer-size", "2000")
    head = request("POST", "/echo", "Content-Length: 1001")
    with target.connect(timeout=5.0) as connection:
        connection.send(head)
        assert connection.response().status == 400


@mark.old("limits.buffer")
def test_a_head_over_the_buffer_was_not_answered(serve: Serve) -> None:
    target = serve.shared("--workers", "2", "--max-body-size", "1000", "--max-buffer-size", "2000")
    assert target.unanswered(request("GET", "/", f"X-A: {'a' * 4000}"))


@mark.row("limits.body-within")
def test_a_body_within_the_limit_is_taken(serve: Serve) -> None:
    target = serve.shared("--max-body-size", "1000", "--max-buffer-size", "2000")
    assert target.post("/echo", b"a" * 1000).json()["length"] == 1000


@mark.row("limits.body-reset")
def test_who_sends_on_is_reset(serve: Serve) -> None:
    target = serve.shared("--max-body-size", "1000", "--max-buffer-size", "2000")
    with target.connect(timeout=5.0) as connection:
        connection.send(request("POST", "/echo", "Content-Length: 100000000"))
        with pytest.raises((ConnectionError, wire.Closed)):
            send_on(connection)


def send_on(connection: wire.Connection) -> None:
    """Sends a long body, whatever comes back, and then waits for the end."""
    for _ in range(1000):
        connection.send(bytes(100_000))
    while True:
        connection.fill()


@mark.row("limits.buffer")
def test_a_head_over_the_buffer_is_answered_431(serve: Serve) -> None:
    target = serve.shared("--max-body-size", "1000", "--max-buffer-size", "2000")
    assert target.refused(request("GET", "/", f"X-A: {'a' * 2000}")) == 431


@mark.row("limits.buffer-within")
def test_a_head_within_the_buffer_is_taken(serve: Serve) -> None:
    target = serve.shared("--max-body-size", "1000", "--max-buffer-size", "2000")
    assert target.get("/", f"X-A: {'a' * 1000}").body == b"hello"


@mark.row("stop.idle")
def test_an_idle_server_ends_at_once_with_code_0(serve: Serve) -> None:
    target = serve()
    target.terminate()
    assert target.wait(target.patience) == 0
    assert not listens(target.port)


@mark.row("stop.interrupt")
def test_an_interrupt_ends_it_as_well(serve: Serve) -> None:
    target = serve()
    target.process.send_signal(signal.SIGINT)
    assert target.wait(target.patience) == 0


@mark.row("stop.requests")
def test_a_stop_answers_what_runs(serve: Serve) -> None:
    target = serve()
    connection = target.connect()
    connection.send(request("GET", "/hold/gate"))
    target.wait_for_lines("gate-entered", 1)
    target.terminate()
    target.put("gate-open")
    assert connection.response().body == b"released"
    assert target.wait(target.patience) == 0
