"""``hurricane healthcheck``, as an exec probe runs it."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator

import pytest

from conftest import Starter
from receiver import HANG, Receiver
from serving import APPS, Server, free_port, run

HEALTHCHECK = [sys.executable, "-m", "hurricane", "healthcheck"]


def ask(
    server: Server, *flags: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Asks with patience for a busy machine."""
    port = {"HURRICANE_PROBE_PORT": str(server.probe_port)} if env is None else env
    return run([*HEALTHCHECK, "--timeout", "5s", *flags], env=port, cwd=APPS)


@pytest.fixture(scope="module")
def probed() -> Generator[Server]:
    """A server that is asked and not changed."""
    starter = Starter("any")
    server = starter()
    server.wait_for_ready()
    yield server
    starter.end()


def test_it_says_what_the_probe_says(probed: Server) -> None:
    for flags, said in ([], ""), (["--ready"], ""), (["--alive"], "alive\n"):
        asked = ask(probed, *flags)
        assert (asked.returncode, asked.stdout, asked.stderr) == (0, said, "")
    started = ask(probed, "--startup")
    assert started.returncode == 0
    assert started.stdout.startswith("Startup was finished ")


def test_flags_and_variables_are_those_of_the_server(probed: Server) -> None:
    flag = ["--probe-port", str(probed.probe_port)]
    assert ask(probed, *flag, env={}).returncode == 0
    assert ask(probed, *flag, env={"HURRICANE_PROBE_PORT": "1"}).returncode == 0
    assert ask(probed, env={"HURRICANE_PORT": str(probed.probe_port - 1)}).returncode == 0
    # What Kubernetes injects for a Service of our name is no port.
    link = {"HURRICANE_PROBE_PORT": "tcp://10.0.0.1:8001"}
    here = {"HURRICANE_PORT": str(probed.probe_port - 1)}
    assert ask(probed, env={**link, **here}).returncode == 0
    assert ask(probed, "--host", "::", *flag, env={}).returncode == 0
    # An image may name a proxy; a probe does not go through it.
    port = {"HURRICANE_PROBE_PORT": str(probed.probe_port)}
    assert ask(probed, env={**port, "HTTP_PROXY": "http://127.0.0.1:1"}).returncode == 0


def test_a_failing_probe_is_code_1_with_its_words_on_stderr(start_once: Starter) -> None:
    server = start_once("--readiness-probe", "/is-ready")
    server.put("readiness-fails")
    wrong = ask(server)
    assert (wrong.returncode, wrong.stderr) == (1, "not found\n")
    path = {
        "HURRICANE_READINESS_PROBE": "is-ready",
        "HURRICANE_PROBE_PORT": str(server.probe_port),
    }
    failed = ask(server, env=path)
    while "told to fail" not in failed.stderr:
        assert failed.returncode == (1 if failed.stderr else 0)
        failed = ask(server, env=path)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert ask(server, "--alive").returncode == 0


def test_no_answer_is_code_1_and_says_why() -> None:
    port = str(free_port())
    refused = run([*HEALTHCHECK, "--probe-port", port], cwd=APPS)
    assert refused.returncode == 1
    assert f"http://127.0.0.1:{port}/ready cannot be asked" in refused.stderr
    with Receiver(HANG) as silent:
        port = str(silent.server.server_port)
        late = run([*HEALTHCHECK, "--probe-port", port, "--timeout", "100ms"], cwd=APPS)
    assert late.returncode == 1


def test_wrong_usage_is_code_2() -> None:
    for flags, sentence in (
        (["--redy"], "unknown flag '--redy'; did you mean '--ready'?"),
        (["--port", "0"], "the port of the probes is not known; give --probe-port"),
        (["--timeout", "0"], "--timeout cannot be '0': expected a duration from 1ms"),
        (["--ready", "--alive"], "cannot be used with"),
    ):
        ended = run([*HEALTHCHECK, *flags], cwd=APPS)
        assert ended.returncode == 2, flags
        assert sentence in ended.stderr
        assert len(ended.stderr.splitlines()) == 1
    bad = run(HEALTHCHECK, env={"HURRICANE_PORT": "many"}, cwd=APPS)
    assert bad.returncode == 2
    assert bad.stderr.startswith("hurricane: variable HURRICANE_PORT cannot be 'many'")


def test_it_is_in_help_completions_and_manual() -> None:
    for words in (["--help"], ["completions", "bash"], ["man"], ["healthcheck", "--help"]):
        text = run([sys.executable, "-m", "hurricane", *words], cwd=APPS).stdout
        assert "healthcheck" in text or words[0] == "healthcheck", words
        if words[0] != "--help":
            assert "startup" in text
    variables = run([*HEALTHCHECK, "--help"], cwd=APPS).stdout
    assert "HURRICANE_PROBE_PORT" in variables


def test_it_answers_while_every_worker_is_stopped(start_once: Starter) -> None:
    server = start_once()
    server.wait_for_ready()
    (worker,) = server.workers()
    os.kill(worker, signal.SIGSTOP)
    try:
        assert ask(server, "--alive").returncode == 0
    finally:
        os.kill(worker, signal.SIGCONT)


def test_it_imports_neither_django_nor_the_loader(probed: Server) -> None:
    words = [sys.executable, "-X", "importtime", *HEALTHCHECK[1:]]
    words += ["--probe-port", str(probed.probe_port), "--timeout", "5s"]
    asked = run(words, cwd=APPS)
    assert asked.returncode == 0, asked.stderr
    imported = {line.rpartition("|")[2].strip() for line in asked.stderr.splitlines()}
    assert "hurricane._core" in imported
    assert imported.isdisjoint({"django", "hurricane.loader", "traceback", "wsgiref.types"})
