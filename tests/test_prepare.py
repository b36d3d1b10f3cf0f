"""What a project does before it serves: commands, migrations, and how a start is ended."""

import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shutil import copy

import pytest

import kubelet
import wire
from condition import wait_until
from conftest import Starter
from serving import APPS, PROJECT, Server, as_settings, free_port, run

ERRAND = "errand wait gate"


def refuses(server: Server, *paths: str) -> str:
    """Every one of these probes fails with the same words; returns them."""
    answers = [server.probe(path).response for path in paths]
    assert {answer.status for answer in answers} == {400}
    return answers[0].text


def wait_for_probe(server: Server, text: str) -> None:
    """Waits until ``/startup`` fails and says so."""

    def said() -> bool:
        code = server.process.poll()
        assert code is None, f"the server ended with {code}:\n{server.log()}"
        try:
            answer = kubelet.probe(server.probe_port, "/startup").response
        except (OSError, wire.Closed):
            return False
        return answer.status == 400 and text in answer.text

    wait_until(said, 20, text)


def databases(
    paths: Mapping[str, Path], mirrors: Mapping[str, str] | None = None, **settings: object
) -> dict[str, str]:
    """The project with these SQLite files as its databases."""
    mirrors = mirrors or {}
    return as_settings(
        DATABASES={
            alias: {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(path),
                "TEST": {"MIRROR": mirrors.get(alias)},
            }
            for alias, path in paths.items()
        },
        **settings,
    )


def migrate(alias: str, env: dict[str, str]) -> None:
    """As somebody else does while servers wait."""
    ended = run([sys.executable, "manage.py", "migrate", "--database", alias], env=env)
    assert ended.returncode == 0, ended.stderr


def errands(path: Path) -> int:
    """How many migrations of the test's app are applied to that database."""
    with sqlite3.connect(path) as connection:
        question = "select count(*) from django_migrations where app = 'errands'"
        (count,) = connection.execute(question).fetchone()
    connection.close()
    return int(count)


def test_commands_run_in_order_before_the_server_serves(start_once: Starter) -> None:
    server = start_once("--command", "errand one", "--command", "errand 'two words' --loud")
    assert server.lines("errands") == ["one", "two words|loud"]
    assert server.get("/").body == b"hello"
    for line in (
        "Starting execution of management commands",
        "Starting execution of command errand with arguments ['two words', '--loud']",
        "Command errand was executed in ",
    ):
        assert server.lines_with(line), line
    # Afterwards nothing of it is left.
    assert server.status()["waiting_for"] is None
    assert len(server.family()) == 3


@pytest.mark.parametrize(
    "env",
    [
        {"HURRICANE_COMMAND": "errand one\nerrand 'two words' --loud"},
        {"HURRICANE_COMMAND": json.dumps(["errand one", "errand 'two words' --loud"])},
        as_settings(HURRICANE_COMMAND=["errand one", "errand 'two words' --loud"]),
        as_settings(COMMAND="errand one\nerrand 'two words' --loud"),
    ],
    ids=["lines", "json", "list-setting", "text-setting"],
)
def test_commands_come_from_environment_and_settings(
    start_once: Starter, env: dict[str, str]
) -> None:
    assert start_once(env=env).lines("errands") == ["one", "two words|loud"]


def test_probes_say_which_command_runs(start_once: Starter) -> None:
    server = start_once("--command", ERRAND, wait=False)
    server.wait_for_lines("gate-entered", 1)
    said = refuses(server, "/startup", "/ready", "/alive")
    assert 'running command "errand"' in said
    status = server.status()
    assert (status["phase"], status["waiting_for"]) == ("preparing", 'running command "errand"')
    # The port is bound; who connects already is answered later.
    early = server.connect()
    early.send(wire.request("GET", "/"))
    server.put("gate-open")
    server.wait_for_start()
    assert early.response().body == b"hello"


def test_the_application_is_loaded_after_the_commands(start_once: Starter) -> None:
    server = start_once("--command", ERRAND, wait=False)
    server.wait_for_lines("gate-entered", 1)
    assert server.lines("built") == []
    server.put("gate-open")
    server.wait_for_start()
    assert server.lines("built") == [str(server.process.pid)]


def begin_with_a_check_that_hangs(
    start_once: Starter, *flags: str, integrated: bool = False
) -> Server:
    """A server whose application answers, while the first run of a check has not ended."""
    port = free_port()
    ports = ["--port", str(port), *(["--probe-port", str(port)] if integrated else [])]
    server = start_once("--command", ERRAND, *ports, *flags, wait=False)
    server.port = port
    server.probe_port = port if integrated else server.probe_port
    server.wait_for_lines("gate-entered", 1)
    server.put("readiness-hangs")
    server.put("gate-open")
    wait_for_probe(server, "check stage.checks.readiness is pending: it has not ended once")
    assert server.get("/").body == b"hello"
    assert not server.lines_with("Startup time")
    return server


@pytest.mark.parametrize("integrated", [False, True])
def test_a_server_that_has_started_is_ready(start_once: Starter, integrated: bool) -> None:
    server = begin_with_a_check_that_hangs(
        start_once, "--check-timeout", "60", integrated=integrated
    )
    server.remove("readiness-hangs")
    wait_until(lambda: server.lines_with("Startup time"), 10, "the start to be announced")
    assert server.probe("/ready").response.status == 200


def test_no_start_waits_longer_than_a_check_may_take(start_once: Starter) -> None:
    server = begin_with_a_check_that_hangs(start_once, "--check-timeout", "1")
    server.wait_for_start()
    assert server.probe("/ready").response.status == 500


def test_no_check_runs_before_commands_have_ended(start_once: Starter) -> None:
    server = start_once("--command", ERRAND, wait=False)
    server.wait_for_lines("gate-entered", 1)
    assert {check["status"] for check in server.status()["checks"]} <= {"pending"}
    server.put("gate-open")
    server.wait_for_start()
    server.wait_for_ready()


@pytest.mark.parametrize(
    ("errand", "reason"),
    [
        ("raise", "RuntimeError: the errand raised"),
        ("refuse", "CommandError: the errand was refused"),
        ("exit 3", "it exited with 3"),
    ],
)
def test_a_command_that_fails_ends_the_start(
    start_once: Starter, tmp_path: Path, errand: str, reason: str
) -> None:
    words = tmp_path / "termination-log"
    server = start_once(
        "--command",
        f"errand {errand}",
        "--command",
        "errand never",
        "--termination-log",
        str(words),
        wait=False,
    )
    assert server.wait(20) == 5
    assert server.lines("errands") == [errand.replace(" ", "|")]
    assert "Traceback" in server.log()
    said = words.read_text()
    assert said.startswith('command "errand" has failed: ')
    assert reason in said
    assert said.count("\n") == 1
    assert server.lines_with(said.strip())
    assert server.lines("built") == []


def test_a_command_may_exit_with_0(start_once: Starter) -> None:
    server = start_once("--command", "errand exit 0")
    assert server.get("/").body == b"hello"


def test_an_unknown_command_ends_the_start(start_once: Starter) -> None:
    server = start_once("--command", "erand", wait=False)
    assert server.wait(20) == 5
    assert "Unknown command: 'erand'" in server.log()


def test_a_command_that_is_killed_ends_the_start(start_once: Starter) -> None:
    server = start_once("--command", ERRAND, wait=False)
    os.kill(int(server.wait_for_lines("gate-entered", 1)[0]), signal.SIGKILL)
    assert server.wait(20) == 5
    assert server.lines_with("the preparation was killed by SIGKILL")


def test_an_application_that_does_not_load_after_the_commands_is_one_sentence(
    start_once: Starter, tmp_path: Path
) -> None:
    words = tmp_path / "termination-log"
    server = start_once(
        "--command",
        "errand one",
        "--termination-log",
        str(words),
        env=as_settings(WSGI_APPLICATION="stage.nowhere.application"),
        wait=False,
    )
    assert server.wait(20) == 1
    assert server.lines("errands") == ["one"]
    assert 'there is no module "stage.nowhere"' in words.read_text()


def test_a_project_that_has_handlers_gets_the_lines(start_once: Starter) -> None:
    logging = {
        "version": 1,
        "handlers": {"ours": {"class": "logging.StreamHandler", "formatter": "ours"}},
        "formatters": {"ours": {"format": "OURS %(name)s %(message)s"}},
        "loggers": {"hurricane": {"handlers": ["ours"], "level": "INFO"}},
    }
    server = start_once("--command", "errand one", env=as_settings(LOGGING=logging))
    lines = server.lines_with("Starting execution of management commands")
    assert lines == ["OURS hurricane.server.general Starting execution of management commands"]


def test_lines_are_json_where_json_is_asked_for(start_once: Starter) -> None:
    server = start_once("--command", "errand one", "--log-format", "json")
    (line,) = server.lines_with("Starting execution of management commands")
    assert json.loads(line)["message"] == "Starting execution of management commands"


def test_a_server_waits_for_migrations_of_all_databases(
    start_once: Starter, tmp_path: Path
) -> None:
    env = databases({"default": tmp_path / "default", "other": tmp_path / "other"})
    env["STAGE_SIGNALS"] = str(tmp_path)
    server = start_once("--check-migrations", env=env, wait=False)
    wait_for_probe(server, '4 migrations pending on "default"')
    migrate("default", env)
    wait_for_probe(server, '4 migrations pending on "other"')
    migrate("other", env)
    server.wait_for_start()
    for line in (
        "Database was checked successfully",
        "There are 4 pending migrations",
        "Migrations are pending",
        "No pending migrations",
    ):
        assert server.lines_with(line), line


def test_migrations_are_applied_to_all_databases(start_once: Starter, tmp_path: Path) -> None:
    default, other = tmp_path / "default", tmp_path / "other"
    server = start_once(
        "--check-migrations-apply", env=databases({"default": default, "other": other})
    )
    assert errands(default) == errands(other) == 2
    assert len(server.lines_with("Applying migrations")) == 2
    assert server.lines_with("SQLite has no lock for migrations")
    assert server.get("/").body == b"hello"


def test_migrations_that_routers_keep_from_a_database_do_not_count_there(
    start_once: Starter, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    env = databases(
        {"default": tmp_path / "default", "other": other},
        DATABASE_ROUTERS=["errands.routers.DefaultOnly"],
    )
    server = start_once("--check-migrations-apply", env=env)
    assert server.lines_with('No pending migrations on "other"')
    assert errands(tmp_path / "default") == 2
    assert other.stat().st_size == 0


def test_migrations_of_a_replica_of_a_database_are_waited_for(
    start_once: Starter, tmp_path: Path
) -> None:
    paths = {"default": tmp_path / "default", "other": tmp_path / "other"}
    env = databases(paths, mirrors={"other": "default"})
    server = start_once("--check-migrations-apply", env=env, wait=False)
    wait_for_probe(server, '4 migrations pending on "other"')
    # As replication would bring them.
    copy(paths["default"], paths["other"])
    server.wait_for_start()
    assert len(server.lines_with("Applying migrations")) == 1


def test_nothing_is_applied_where_nothing_is_pending(start_once: Starter) -> None:
    server = start_once("--command", "migrate", "--check-migrations-apply")
    assert server.lines("migrated") != []
    assert server.lines_with("No pending migrations")
    assert not server.lines_with("Applying migrations")


def test_a_migration_that_fails_ends_the_start(start_once: Starter, tmp_path: Path) -> None:
    (tmp_path / "migration-fails").touch()
    words = tmp_path / "termination-log"
    server = start_once(
        "--check-migrations-apply",
        "--termination-log",
        str(words),
        env={"STAGE_SIGNALS": str(tmp_path)},
        wait=False,
    )
    assert server.wait(20) == 5
    said = words.read_text()
    assert said.startswith('applying migrations on "default" has failed: RuntimeError: a migration')
    assert server.lines_with("Database command execution has failed with")
    assert "Traceback" in server.log()


def test_a_database_that_cannot_be_reached_is_waited_for(
    start_once: Starter, tmp_path: Path
) -> None:
    later = tmp_path / "later"
    env = databases({"default": tmp_path / "default", "other": later / "other"})
    server = start_once("--check-migrations-apply", env=env, wait=False)
    wait_for_probe(server, 'waiting for database "other": unable to open database file')
    later.mkdir()
    server.wait_for_start()
    assert errands(later / "other") == 2


@pytest.mark.parametrize("flag", ["--command=migrate", "--check-migrations"])
def test_flags_of_a_project_are_refused_without_one(flag: str) -> None:
    words = [sys.executable, "-m", "hurricane", "serve", "wsgi_apps:hello", flag]
    ended = run(words, cwd=APPS)
    assert ended.returncode == 2
    name = flag.removesuffix("=migrate")
    assert ended.stderr == (
        f"hurricane: {name} needs a Django project: it is a flag of manage.py serve only\n"
    )


def test_a_command_line_that_cannot_be_split_is_one_sentence() -> None:
    ended = run([sys.executable, "manage.py", "serve", "--command", "errand 'open"])
    assert ended.returncode == 2
    assert "quoted as for a shell" in ended.stderr
    assert ended.stderr.count("\n") == 1


def while_checks_run(start: Starter, flags: Sequence[str], prefix: Sequence[str]) -> Server:
    server = start(*flags, prefix=prefix, wait=False, env={"STAGE_START_HANGS": "checks"})
    server.wait_for_lines("checks-entered", 1)
    return server


def while_loading(start: Starter, flags: Sequence[str], prefix: Sequence[str]) -> Server:
    server = start(*flags, prefix=prefix, wait=False, env={"STAGE_START_HANGS": "wsgi"})
    server.wait_for_lines("wsgi-entered", 1)
    return server


def while_setting_up(start: Starter, flags: Sequence[str], prefix: Sequence[str]) -> Server:
    server = start(*flags, prefix=prefix, wait=False, env={"STAGE_START_HANGS": "apps"})
    server.wait_for_lines("apps-entered", 1)
    return server


def while_a_module_is_imported(
    start: Starter, flags: Sequence[str], prefix: Sequence[str]
) -> Server:
    server = start(*flags, prefix=prefix, wait=False, application="slow")
    server.wait_for_lines("import-entered", 1)
    return server


def while_loading_after_commands(
    start: Starter, flags: Sequence[str], prefix: Sequence[str]
) -> Server:
    return while_loading(start, ["--command", "errand one", *flags], prefix)


def while_a_command_runs(start: Starter, flags: Sequence[str], prefix: Sequence[str]) -> Server:
    server = start("--command", ERRAND, *flags, prefix=prefix, wait=False)
    server.wait_for_lines("gate-entered", 1)
    return server


def while_migrations_are_pending(
    start: Starter, flags: Sequence[str], prefix: Sequence[str]
) -> Server:
    server = start("--check-migrations", *flags, prefix=prefix, wait=False)
    wait_for_probe(server, "pending on")
    return server


MOMENTS = [
    while_setting_up,
    while_checks_run,
    while_loading,
    while_a_module_is_imported,
    while_loading_after_commands,
    while_a_command_runs,
    while_migrations_are_pending,
]
Moment = Callable[[Starter, Sequence[str], Sequence[str]], Server]


@pytest.mark.parametrize(
    ("moment", "told"),
    [(moment, signal.SIGTERM) for moment in MOMENTS]
    + [(while_checks_run, signal.SIGINT), (while_a_command_runs, signal.SIGINT)],
)
def test_a_signal_ends_a_start_at_once(
    start_once: Starter, moment: Moment, told: signal.Signals
) -> None:
    server = moment(start_once, [], [])
    begin = time.monotonic()
    server.process.send_signal(told)
    assert server.wait() == 0
    # Far less than the grace period, on a busy machine too.
    assert time.monotonic() - begin < 5
    assert "Traceback" not in server.log()
    wait_until(lambda: server.family() == [], 5, "every process to end")


def namespaced() -> list[str]:
    """A prefix that makes the server PID 1; skips where this host refuses that."""
    words = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if os.geteuid() != 0:
        words += ["--user", "--map-root-user"]
    if run([*words, "true"]).returncode != 0:
        pytest.skip("this host refuses PID namespaces")
    return words


def first_process(server: Server) -> int:
    """The server's first process, seen from outside of its namespace."""
    outer = server.process.pid
    children = Path(f"/proc/{outer}/task/{outer}/children")
    return int(wait_until(children.read_text, 10, "the server's process").split()[0])


@pytest.mark.parametrize(
    "moment",
    [
        while_setting_up,
        while_a_module_is_imported,
        while_loading_after_commands,
        while_a_command_runs,
    ],
)
def test_pid_1_hears_sigterm_from_the_first_import_on(start_once: Starter, moment: Moment) -> None:
    server = moment(start_once, [], namespaced())
    os.kill(first_process(server), signal.SIGTERM)
    assert server.wait() == 0


def test_pid_1_reaps_orphans_of_commands_and_views(start_once: Starter) -> None:
    server = start_once("--command", "errand orphan", prefix=namespaced())
    first = first_process(server)

    def children(*states: str) -> list[str]:
        found = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        texts = [stat.read_text() for pid in found if (stat := Path(f"/proc/{pid}/stat")).exists()]
        return [text for text in texts if text.rpartition(")")[2].split()[0] in states]

    assert server.get("/orphan").body == b"adopted"
    wait_until(lambda: not any("(sleep)" in text for text in children("S", "R", "Z")), 10)
    assert children("Z") == []
    os.kill(first, signal.SIGTERM)
    assert server.wait() == 0


def test_a_child_has_an_empty_mask_and_default_actions(start_once: Starter) -> None:
    blocked = (
        "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, 12});"
        "os.execvp(sys.argv[1], sys.argv[1:])"
    )
    server = start_once("--command", "errand mask", prefix=[sys.executable, "-c", blocked])
    (of_command,) = server.lines("mask")
    for mask in (of_command, server.get("/mask").text):
        names = mask.split()
        assert int(names[names.index("SigBlk:") + 1], 16) == 0, mask
        # Signals 32 and 33 are the C library's own: nobody can change what they do.
        ignored = int(names[names.index("SigIgn:") + 1], 16) & ~(0b11 << 31)
        assert ignored == 0, mask


def test_a_command_that_ignores_the_signal_is_killed_after_the_grace_period(
    start_once: Starter, tmp_path: Path
) -> None:
    words = tmp_path / "termination-log"
    server = start_once(
        "--command",
        "errand stubborn",
        "--grace-period",
        "0.5s",
        "--termination-log",
        str(words),
        wait=False,
    )
    server.wait_for_lines("stubborn-entered", 1)
    server.terminate()
    assert server.wait() == 4
    assert server.lines("heard") == ["SIGTERM"]
    assert "before the preparation had ended" in words.read_text()
    assert server.family() == []


def test_a_second_signal_does_not_wait_for_a_command(start_once: Starter) -> None:
    server = start_once("--command", "errand stubborn", wait=False)
    server.wait_for_lines("stubborn-entered", 1)
    server.terminate()
    server.wait_for_lines("heard", 1)
    server.terminate()
    assert server.wait() == 143
    wait_until(lambda: server.family() == [], 5, "every process to end")


def test_the_death_of_the_supervisor_ends_a_command(start_once: Starter) -> None:
    server = start_once("--command", ERRAND, wait=False)
    server.wait_for_lines("gate-entered", 1)
    server.process.kill()
    wait_until(lambda: server.family() == [], 5, "every process to end")


def test_other_commands_end_as_they_always_did(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; sys.argv = ['manage.py', 'check']; import hurricane.server;"
        "assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL;"
        "os.kill(os.getpid(), signal.SIGTERM)"
    )
    assert run([sys.executable, "-c", program], cwd=PROJECT).returncode == -signal.SIGTERM


def test_last_words_are_kept_of_every_failed_start(tmp_path: Path) -> None:
    words = tmp_path / "termination-log"
    manage = [sys.executable, "manage.py", "serve", "--port=0"]
    kept = f"--termination-log={words}"
    env = {"HURRICANE_TERMINATION_LOG": str(words), "STAGE_SIGNALS": str(tmp_path)}
    for arguments, settings, code, reason in (
        ([kept, "--host=nowhere.invalid"], {}, 1, "nowhere.invalid"),
        (["--workers=many"], {}, 2, "--workers cannot be 'many'"),
        ([kept], {"HURRICANE_PORT": [1]}, 2, "settings.HURRICANE_PORT is a list"),
        ([kept], {"WSGI_APPLICATION": "stage.nowhere.x"}, 1, 'no module "stage.nowhere"'),
        ([kept], {"ROOT_URLCONF": "stage.nowhere"}, 1, "ModuleNotFoundError: No module named"),
    ):
        words.unlink(missing_ok=True)
        ended = run([*manage, *arguments], env={**env, **as_settings(**settings)})
        assert ended.returncode == code, ended.stderr
        assert reason in words.read_text()
        assert words.read_text().count("\n") == 1
    script = [sys.executable, "-m", "hurricane", "serve", "nowhere", kept]
    assert run(script, cwd=APPS).returncode == 1
    assert 'there is no module "nowhere"' in words.read_text()


def test_a_clean_exit_leaves_no_last_words(start_once: Starter, tmp_path: Path) -> None:
    words = tmp_path / "termination-log"
    server = start_once("--termination-log", str(words))
    server.terminate()
    assert server.wait() == 0
    assert not words.exists()


def test_last_words_that_cannot_be_written_change_nothing(start_once: Starter) -> None:
    server = start_once("--command", "errand raise", "--termination-log", "/nowhere/x", wait=False)
    assert server.wait(20) == 5
    assert server.lines_with("the last words cannot be written")


def test_a_stop_that_does_not_fit_the_pod_is_warned_of(start_once: Starter) -> None:
    server = start_once(env={"HURRICANE_TERMINATION_GRACE_PERIOD": "20s"})
    (line,) = server.lines_with("exceed terminationGracePeriodSeconds 20s")
    assert "WARN" in line
    assert "--grace-period 20s" in line
