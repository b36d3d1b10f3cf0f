"""Coroutines of a project below WSGI: one loop a worker, the thread and context of the request."""

from collections.abc import Generator

import pytest

from condition import wait_until
from conftest import Starter
from serving import TESTS, Server

MIRROR = TESTS / "mirror"


def started() -> Generator[Server]:
    starter = Starter("any")
    try:
        yield starter("--interface", "django", "--threads", "4", project=MIRROR)
    finally:
        starter.end()


server = pytest.fixture(started, scope="module", name="server")
# Where the gate between views is shut.
fresh = pytest.fixture(started, name="fresh")


def test_requests_share_a_loop_and_keep_their_thread(server: Server) -> None:
    seen = [server.get("/looping/where") for _ in range(3)]
    assert [answer.status for answer in seen] == [200] * 3
    said = [answer.json() for answer in seen]
    assert len({it["loop"] for it in said}) == 1
    assert {it["here"] for it in said} == {"event-loop"}
    # What needs its thread gets the one that the middleware runs on.
    assert [str(it["got"]) for it in said] == [answer.header("x-thread") for answer in seen]
    # asgiref has made no thread.
    assert not [name for name in said[-1]["threads"] if "ThreadPoolExecutor" in name]
    assert server.get("/looping/again").text == "True"


def test_context_goes_into_a_view_and_back(server: Server) -> None:
    for _ in range(2):
        answer = server.get("/looping/context")
        assert (answer.text, answer.header("x-seen")) == ("middleware thread", "view")


def test_a_task_that_ends_the_process_elsewhere_does_not_end_the_loop(server: Server) -> None:
    assert server.get("/looping/end").text == "alive"
    assert server.get("/looping/where").status == 200
    wait_until(lambda: server.lines_with("has raised out of the event loop"), 5)


def test_views_of_several_threads_meet_and_tasks_outlive_them(fresh: Server) -> None:
    assert fresh.get("/looping/leave").text == "left"
    with fresh.connect() as waiting:
        waiting.send(b"GET /looping/wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
        fresh.wait_for_lines("looping", 1)
        assert fresh.get("/looping/open").text == "opened"
        assert waiting.response().body == b"met"
    assert sorted(fresh.wait_for_lines("looping", 2)) == ["later", "waits"]


def test_an_asynchronous_body_is_sent_when_it_is_there_and_ends_with_its_client(
    fresh: Server,
) -> None:
    with fresh.connect() as connection:
        connection.send(b"GET /looping/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.head().status == 200
        assert connection.chunk() == b"first"
        assert fresh.lines("looping") == []
        assert fresh.get("/looping/open").text == "opened"
        assert connection.chunk() == b"x" * 65_536
        connection.reset()
    assert fresh.wait_for_lines("looping", 1) == ["ended"]


def test_an_asynchronous_body_is_not_produced_for_head(fresh: Server) -> None:
    with fresh.connect() as connection:
        connection.send(b"HEAD /looping/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.response("HEAD").status == 200
    assert fresh.wait_for_lines("looping", 1) == ["ended"]
