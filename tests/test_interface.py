"""Both ways into Django answer alike, to the byte, whatever is asked."""

import re
from collections.abc import Generator

import pytest

from conftest import Starter
from interface_requests import GROUPS, Exchange
from serving import TESTS, Server
from wire import Closed

MIRROR = TESTS / "mirror"
DATE = re.compile(rb"\r\nDate: [^\r]*")


class Pair:
    """The same project on two servers, which are asked the same in the same order."""

    def __init__(self, start: Starter) -> None:
        flags = ("--command", "migrate --verbosity 0", "--threads", "1", "--max-body-size", "1m")
        self.servers = [
            start(*flags, "--interface", interface, project=MIRROR, wait=False)
            for interface in ("wsgi", "django")
        ]
        for server in self.servers:
            server.wait_for_start()

    def answers(self, exchange: Exchange) -> list[bytes]:
        """What each says, on a connection of its own."""
        return [answer(server, exchange) for server in self.servers]


def answer(server: Server, exchange: Exchange) -> bytes:
    """Everything that came back, without the date."""
    with server.connect() as connection:
        connection.send(exchange.bytes)
        try:
            said = connection.rest()
        except Closed as closed:
            said = str(closed).encode()
    return DATE.sub(b"\r\nDate:", said)


@pytest.fixture(scope="module")
def pair() -> Generator[Pair]:
    starter = Starter("any")
    try:
        yield Pair(starter)
    finally:
        starter.end()


@pytest.mark.parametrize("group", GROUPS)
def test_both_interfaces_answer_alike(pair: Pair, group: str) -> None:
    different = []
    for exchange in GROUPS[group]:
        by_wsgi, by_django = pair.answers(exchange)
        if by_wsgi != by_django:
            different.append(f"{exchange.name}\n  wsgi   {by_wsgi!r}\n  django {by_django!r}")
    assert different == [], "\n".join(different)


def test_the_table_has_hundreds_of_requests_that_are_answered(pair: Pair) -> None:
    assert sum(map(len, GROUPS.values())) > 500
    assert [server.status()["interface"] for server in pair.servers] == ["wsgi", "django"]
    said = [server.lines_with("serving version")[0] for server in pair.servers]
    assert 'interface="wsgi" interface_because="--interface wsgi"' in said[0]
    assert 'interface="django" interface_because="--interface django"' in said[1]
