"""``manage.py consume`` without a broker: its flags, and how it ends."""

import pytest

from contract.target import Contract
from serving import free_port

mark = pytest.mark

FLAGS = [
    "--queue",
    "--exchange",
    "--amqp-port",
    "--amqp-host",
    "--amqp-vhost",
    "--metrics",
    "--liveness-probe",
    "--readiness-probe",
    "--startup-probe",
    "--probe-port",
    "--req-queue-len",
    "--no-probe",
    "--no-metrics",
    "--autoreload",
    "--debug",
    "--reconnect",
    "--webhook-url",
    "--max-lifetime",
]


@mark.row("consume.offered")
@mark.parametrize("flag", FLAGS)
def test_the_flag_is_offered(contract: Contract, flag: str) -> None:
    assert contract.offers("consume", flag)


def consumed(
    contract: Contract, handler: str, *flags: str, env: dict[str, str] | None = None
) -> tuple[int, str]:
    """How a consumer ends that cannot begin: its exit code, and what it says."""
    words = ["--probe-port", str(free_port()), "--queue", "jobs", "--exchange", "shop", *flags]
    ended = contract.run("manage.py", "consume", handler, *words, env=env)
    return ended.code, ended.err + ended.out


@mark.row("consume.no-host")
def test_a_broker_must_be_named(contract: Contract) -> None:
    code, said = consumed(contract, "agreed.handlers.Handler")
    assert code != 0
    assert "AMQP" in said


@mark.row("consume.handler")
def test_the_handler_must_be_a_consumer(contract: Contract) -> None:
    broker = ["--amqp-host", "127.0.0.1", "--amqp-port", str(free_port())]
    for handler in ("agreed.handlers.Stranger", "agreed.nowhere.Handler"):
        assert consumed(contract, handler, *broker)[0] != 0


@mark.row("consume.no-broker")
def test_a_broker_that_is_not_there_is_a_failure(contract: Contract) -> None:
    broker = ["--amqp-host", "127.0.0.1", "--amqp-port", str(free_port())]
    assert consumed(contract, "agreed.handlers.Handler", *broker)[0] != 0


@mark.old("consume.no-broker")
def test_a_broker_that_was_not_there_was_no_failure(contract: Contract) -> None:
    broker = ["--amqp-host", "127.0.0.1", "--amqp-port", str(free_port())]
    env = contract.surroundings(legacy=True)
    assert consumed(contract, "agreed.handlers.Handler", *broker, env=env)[0] == 0
