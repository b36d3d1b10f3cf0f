"""``manage.py consume`` against a RabbitMQ: messages, probes, losses, ends."""

import itertools
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

import wire
from condition import wait_until
from rabbitmq import Link, RabbitMQ, shared
from receiver import Receiver
from serving import PROJECT, Server, as_settings, free_port, run

COUNT = itertools.count()


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Generator[RabbitMQ]:
    """A broker for all tests, also when several processes run them."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with shared(base / "rabbitmq") as server:
        yield server


class Consumer(Server):
    """A running consumer of a queue that is nobody else's."""

    def __init__(
        self,
        broker: RabbitMQ,
        flags: tuple[str, ...],
        env: Mapping[str, str],
        handler: str,
        port: int | None,
        project: Path = PROJECT,
    ) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="hurricane-test-")
        self.broker = broker
        self.queue = f"queue-{os.getpid()}-{next(COUNT)}"
        words = [sys.executable, "manage.py", "consume", handler, "--queue", self.queue]
        words += ["--amqp-host", "127.0.0.1", "--amqp-port", str(port or broker.port)]
        self.launch(Path(self.directory.name), words, flags, env, project)

    def send(self, *bodies: str, key: str = "", exchange: str = "") -> None:
        """Publishes messages to its queue, or with a key to an exchange."""
        with self.broker.channel() as channel:
            for body in bodies:
                channel.basic_publish(exchange, key or self.queue, body.encode())

    def messages(self) -> dict[str, Any]:
        """What ``/status`` counts."""
        counts: dict[str, Any] = self.status()["workers"][0]["broker"]["messages"]
        return counts

    def wait_for_counts(self, **expected: int) -> None:
        """Waits for these counts."""

        def counted() -> bool:
            counts = self.messages()
            return {name: counts[name] for name in expected} == expected

        wait_until(counted, 15, f"{expected}")

    def waiting(self, queue: str = "") -> int:
        """How many messages wait in a queue, its own if none is named."""
        with self.broker.channel() as channel:
            count: int = channel.queue_declare(
                queue or self.queue, passive=True
            ).method.message_count
            return count

    def end(self) -> None:
        """Ends it."""
        super().end()
        with self.broker.channel() as channel:
            channel.queue_delete(self.queue)
        self.directory.cleanup()


Consume = Callable[..., Consumer]


@pytest.fixture
def consume(rabbitmq: RabbitMQ) -> Generator[Consume]:
    """Starts consumers for one test."""
    consumers = []

    def start(
        *flags: str,
        env: Mapping[str, str] | None = None,
        handler: str = "stage.amqp.Obedient",
        port: int | None = None,
        project: Path = PROJECT,
        wait: bool = True,
    ) -> Consumer:
        consumer = Consumer(rabbitmq, flags, env or {}, handler, port, project)
        consumers.append(consumer)
        if wait:
            consumer.wait_for_start()
        return consumer

    yield start
    logs = [consumer.log() for consumer in consumers]
    for consumer in consumers:
        consumer.end()
    assert not any("panicked" in log for log in logs)


def sample(consumer: Consumer, name: str) -> float:
    """A value of the server's metrics."""
    text = wire.get(consumer.probe_port, "/metrics/server").text
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def test_messages_are_consumed_in_order_and_settled_as_the_handler_says(consume: Consume) -> None:
    consumer = consume()
    consumer.wait_for_ready()
    consumer.send("do one", "reject two", "direct three", "twice four", "where five")
    assert consumer.wait_for_lines("messages", 5) == [
        "do one",
        "reject two",
        "direct three",
        "twice four",
        "where five",
    ]
    consumer.wait_for_counts(received=5, acked=4, rejected=1, requeued=0, ended=5, failed=0)
    pid, thread = consumer.lines("where")[0].split()
    assert [int(pid)] == consumer.workers()
    assert thread == "message"
    assert consumer.lines_with("is settled already")
    broker = consumer.status()["workers"][0]["broker"]
    assert (broker["state"], broker["begun"]) == ("consuming", 1)
    assert broker["remark"] == f"127.0.0.1:{consumer.broker.port}/"
    assert sample(consumer, "hurricane_messages_received_total") == 5
    assert sample(consumer, 'hurricane_messages_settled_total{how="acked"}') == 4
    assert sample(consumer, "hurricane_messages_ended_total") == 5
    assert sample(consumer, "hurricane_messages_run_seconds_total") > 0
    assert sample(consumer, "hurricane_consumers_consuming") == 1
    consumer.terminate()
    assert consumer.wait() == 0
    assert consumer.waiting() == 0


def test_an_exchange_is_declared_and_bound_by_every_routing_key(consume: Consume) -> None:
    exchange = f"exchange-{os.getpid()}"
    consumer = consume("--exchange", exchange)
    consumer.wait_for_ready()
    consumer.send("do deep", exchange=exchange, key=f"{consumer.queue}.a.b")
    consumer.send("do also", exchange=exchange, key=f"also.{consumer.queue}")
    assert consumer.wait_for_lines("messages", 2) == ["do deep", "do also"]
    assert len(consumer.lines_with("Queue bound: ")) == 2
    assert len(consumer.lines_with("Consuming from queue")) == 1
    with consumer.broker.channel() as channel:
        channel.exchange_delete(exchange)


def test_a_handler_may_use_the_channel_from_its_own_thread(consume: Consume) -> None:
    consumer = consume()
    with consumer.broker.channel() as channel:
        channel.queue_declare(f"{consumer.queue}-answers")
        consumer.send(f"publish {consumer.queue}-answers")
        wait_until(lambda: consumer.waiting(f"{consumer.queue}-answers") == 1, 10)
        channel.queue_delete(f"{consumer.queue}-answers")


def test_probes_answer_while_a_message_blocks_or_keeps_the_interpreter(consume: Consume) -> None:
    consumer = consume("--heartbeat-timeout", "1s")
    consumer.send("hold gate", "grab 2500000")
    consumer.wait_for_lines("entered", 1)
    for path in ("/startup", "/ready", "/alive"):
        assert consumer.probe(path).response.status == 200
    assert consumer.status()["workers"][0]["running"] == 1
    consumer.put("gate-open")
    consumer.wait_for_lines("entered", 2)
    wait_until(
        lambda: "has waited for its interpreter" in consumer.probe("/ready").response.text, 10
    )
    assert consumer.probe("/alive").response.status == 200
    consumer.wait_for_counts(acked=2)
    consumer.wait_for_ready()


def test_a_message_that_fails_comes_back_once_and_is_rejected_then(consume: Consume) -> None:
    consumer = consume()
    consumer.send("fail first", "exit second", "do third")
    expected = ["fail first", "exit second", "do third", "fail first again", "exit second again"]
    assert sorted(consumer.wait_for_lines("messages", 5)) == sorted(expected)
    consumer.wait_for_counts(received=5, acked=1, requeued=2, rejected=2, failed=4)
    assert "RuntimeError: first was told to fail" in consumer.log()
    assert consumer.process.poll() is None
    assert consumer.waiting() == 0
    assert len(consumer.workers()) == 1


def test_a_quorum_queue_counts_deliveries_and_dead_letters_have_a_place(consume: Consume) -> None:
    consumer = consume("--max-redeliveries", "2", handler="stage.amqp.Quorum")
    with consumer.broker.channel() as channel:
        dead = f"{consumer.queue}.dead"
        channel.queue_declare(dead)
        consumer.send("fail always")
        wait_until(lambda: consumer.waiting(dead) == 1, 15)
        consumer.wait_for_counts(received=3, requeued=2, rejected=1, failed=3)
        channel.queue_delete(dead)


def test_a_message_that_is_not_settled_is_spoken_of(consume: Consume) -> None:
    consumer = consume()
    consumer.send("forget it")
    wait_until(lambda: consumer.lines_with("was neither acknowledged nor rejected"), 10)
    consumer.terminate()
    assert consumer.wait() == 0
    assert consumer.waiting() == 1


def test_database_connections_do_not_outlive_a_message(consume: Consume) -> None:
    consumer = consume()
    consumer.send("query one", "query two")
    consumer.wait_for_counts(acked=2)
    assert consumer.lines("connected") == ["False", "False"]


def test_sigterm_lets_the_message_end_and_leaves_the_others(consume: Consume) -> None:
    consumer = consume()
    consumer.send("hold gate", "do other")
    consumer.wait_for_lines("entered", 1)
    consumer.terminate()
    wait_until(lambda: consumer.probe("/ready").response.status == 400, 10)
    # The server fails readiness first; an acknowledgement before this would bring the other.
    wait_until(lambda: consumer.lines_with("Cancelling the consumer"), 10)
    assert consumer.process.poll() is None
    consumer.put("gate-open")
    assert consumer.wait() == 0
    assert consumer.lines("messages") == ["hold gate"]
    assert consumer.waiting() == 1


def test_a_message_that_outlives_the_grace_period_is_given_back(consume: Consume) -> None:
    consumer = consume("--grace-period", "300ms")
    consumer.send("hold gate")
    consumer.wait_for_lines("entered", 1)
    consumer.terminate()
    assert consumer.wait() == 4
    assert f'requests="MESSAGE /{consumer.queue} for ' in consumer.log()
    wait_until(lambda: consumer.waiting() == 1, 10)


def test_a_message_without_end_gets_the_consumer_replaced(consume: Consume) -> None:
    consumer = consume("--message-timeout", "1s")
    (first,) = consumer.workers()
    consumer.send("hold gate")
    wait_until(lambda: consumer.lines_with("worker cannot go on"), 15)
    assert "in wait_for" in consumer.log()
    wait_until(lambda: consumer.workers() != [first], 15)
    consumer.put("gate-open")
    assert consumer.wait_for_lines("messages", 2)[1] == "hold gate again"


def test_a_lost_broker_is_connected_to_again(consume: Consume, rabbitmq: RabbitMQ) -> None:
    with Link(rabbitmq.port) as link:
        consumer = consume("--reconnect", port=link.port)
        consumer.wait_for_ready()
        (worker,) = consumer.workers()
        consumer.send("hold gate")
        consumer.wait_for_lines("entered", 1)
        link.cut()
        answer = wait_until(
            lambda: answer if (answer := consumer.probe("/ready").response).status == 400 else None,
            15,
        )
        assert answer is not None
        assert "has not been consuming for " in answer.text
        assert f"127.0.0.1:{link.port}/" in answer.text
        assert consumer.probe("/alive").response.status == 200
        assert consumer.probe("/startup").response.status == 200
        consumer.put("gate-open")
        wait_until(lambda: consumer.lines_with("will deliver it again"), 10)
        wait_until(lambda: consumer.lines_with("attempt"), 10)
        link.join()
        consumer.wait_for_ready()
        # What could not be acknowledged came back.
        assert consumer.wait_for_lines("messages", 2)[1] == "hold gate again"
        consumer.send("do more")
        consumer.wait_for_lines("messages", 3)
        assert consumer.workers() == [worker]
        assert sample(consumer, "hurricane_consumer_connections_total") == 2
        consumer.terminate()
        assert consumer.wait() == 0


def test_a_queue_that_is_deleted_is_made_again(consume: Consume) -> None:
    consumer = consume("--reconnect")
    with consumer.broker.channel() as channel:
        channel.queue_delete(consumer.queue)
    wait_until(lambda: consumer.lines_with("The broker has cancelled the consumer"), 10)
    wait_until(lambda: len(consumer.lines_with("Consuming from queue")) == 2, 15)
    consumer.send("do it")
    consumer.wait_for_lines("messages", 1)


def test_a_lost_broker_ends_the_consumer_that_is_not_to_wait(
    consume: Consume, rabbitmq: RabbitMQ
) -> None:
    with Link(rabbitmq.port) as link, Receiver() as receiver:
        log = Path(tempfile.mkstemp()[1])
        consumer = consume(
            "--webhook-url", receiver.url, "--termination-log", str(log), port=link.port
        )
        receiver.wait_for(3)
        link.cut()
        assert consumer.wait() == 6
        told = receiver.told()
    assert told[:3] == [
        ("startup", "succeeded"),
        ("liveness", "succeeded"),
        ("readiness", "succeeded"),
    ]
    assert told[-1] == ("shutdown", "failed")
    words = log.read_text()
    log.unlink()
    assert words.startswith(f"the message broker 127.0.0.1:{link.port}/ was lost: ")
    assert "--reconnect" in words


def test_without_a_broker_the_start_fails_or_waits(consume: Consume) -> None:
    port = free_port()
    refused = consume(port=port, wait=False)
    assert refused.wait(20) == 6
    assert f"the message broker 127.0.0.1:{port}/ was not reached: " in refused.log()
    patient = consume("--reconnect", port=port, wait=False)

    def waits() -> bool:
        try:
            answer = patient.probe("/startup").response
        except OSError:
            return False
        assert answer.status == 400
        return "attempt 2 follows" in answer.text

    wait_until(waits, 20)
    patient.terminate()
    assert patient.wait() == 0


def test_wrong_credentials_are_told(consume: Consume) -> None:
    consumer = consume(env={"AMQP_USER": "nobody", "AMQP_PASSWORD": "wrong"}, wait=False)
    assert consumer.wait(20) == 6
    assert "ACCESS_REFUSED" in consumer.log()
    assert "wrong" not in consumer.log()


def test_a_step_that_raises_is_a_crash_loop_at_the_start(consume: Consume) -> None:
    consumer = consume("--reconnect", handler="stage.amqp.Broken", wait=False)
    assert consumer.wait(30) == 3
    assert "no queue " in consumer.log()
    assert "in setup_queue" in consumer.log()


def test_a_lifetime_counts_messages(consume: Consume) -> None:
    consumer = consume("--max-lifetime", "1")
    consumer.send("do one")
    consumer.wait_for_counts(acked=1)
    assert consumer.probe("/alive").response.status == 200
    consumer.send("do two")
    wait_until(lambda: consumer.probe("/alive").response.status == 400, 10)
    assert "2 messages have been consumed" in consumer.probe("/alive").response.text


def test_metrics_of_the_project_outlive_a_consumer(consume: Consume) -> None:
    consumer = consume("--metrics", "numbers", "--metrics-extended")
    consumer.send("sell novel", "sell novel")
    consumer.wait_for_counts(acked=2)
    (worker,) = consumer.workers()
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: consumer.workers() not in ([], [worker]), 15, "another consumer")
    consumer.send("sell novel")
    consumer.wait_for_counts(acked=3)
    page = wire.get(consumer.probe_port, "/numbers").text
    assert 'stage_sold_total{kind="novel"} 3.0' in page
    assert 'hurricane_messages_settled_total{how="acked"} 3' in page


def test_a_killed_consumer_is_replaced_and_its_message_comes_back(consume: Consume) -> None:
    consumer = consume()
    (worker,) = consumer.workers()
    consumer.send("hold gate")
    consumer.wait_for_lines("entered", 1)
    os.kill(worker, signal.SIGKILL)
    assert consumer.wait_for_lines("messages", 2)[1] == "hold gate again"
    consumer.put("gate-open")
    consumer.wait_for_counts(acked=1)
    assert f'requests="MESSAGE /{consumer.queue} for ' in consumer.log()


def test_new_code_is_loaded_without_a_pause(consume: Consume) -> None:
    consumer = consume()
    (first,) = consumer.workers()
    consumer.send("hold gate")
    consumer.wait_for_lines("entered", 1)
    consumer.process.send_signal(signal.SIGHUP)
    wait_until(lambda: consumer.workers() != [first], 30)
    # The old process still has its message, the new one takes the next.
    consumer.send("where other")
    pid = consumer.wait_for_lines("where", 1, 15)[0].split()[0]
    assert [int(pid)] == consumer.workers()
    consumer.put("gate-open")
    consumer.wait_for_ready()
    wait_until(lambda: not consumer.status()["others"], 15)
    assert consumer.waiting() == 0
    consumer.terminate()
    assert consumer.wait() == 0


def test_a_handler_that_is_saved_consumes_at_once_and_a_broken_one_does_not(
    consume: Consume, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("__pycache__"))
    handlers = project / "stage" / "amqp.py"
    good = handlers.read_text()
    handlers.write_text(good + "import absent_module\n")
    consumer = consume("--autoreload", project=project, wait=False)
    wait_until(lambda: "waiting for a change" in consumer.log(), 20, "the failure to be shown")
    assert "No module named 'absent_module'" in consumer.log()
    handlers.write_text(good)
    consumer.wait_for_start()

    handlers.write_text(good + "syntax error\n")
    wait_until(lambda: "SyntaxError" in consumer.log(), 20, "the syntax error")
    consumer.send("where old")
    consumer.wait_for_lines("where", 1)
    handlers.write_text(good.replace('note("where", f"', 'note("where", f"new '))
    loaded = "Autoreload was performed"
    wait_until(lambda: len(consumer.lines_with(loaded)) == 2, 20, "the new handler")
    consumer.wait_for_ready()
    consumer.send("where it is")
    assert consumer.wait_for_lines("where", 2)[1].startswith("new ")


def ended(
    *flags: str, env: Mapping[str, str] | None = None, handler: str = "stage.amqp.Obedient"
) -> tuple[int, str]:
    """Runs a consumer that does not come to consume; returns its exit code and last line."""
    words = [sys.executable, "manage.py", "consume", handler, *flags]
    completed = run(words, env={"STAGE_SIGNALS": "/nonexistent", **(env or {})})
    return completed.returncode, completed.stderr.splitlines()[-1]


def test_a_consumer_without_a_broker_to_go_to_is_a_command_error() -> None:
    code, sentence = ended("--amqp-port", "5672")
    assert code == 1
    assert sentence == (
        "CommandError: The amqp host must not be empty: set AMQP_HOST in the environment or in "
        "the settings, or give --amqp-host"
    )
    code, sentence = ended("--amqp-host", "localhost", env={"AMQP_PORT": ""})
    assert code == 1
    assert sentence.startswith("CommandError: The amqp port must not be empty: set AMQP_PORT")


def test_the_broker_comes_from_flags_then_settings_then_environment() -> None:
    # Nothing listens on these ports; the last words name the one that was tried.
    flag, setting, variable = (str(free_port()) for _ in range(3))
    env = {"AMQP_HOST": "127.0.0.1", "AMQP_PORT": variable, "AMQP_VHOST": "variable"}
    no_probe = {"HURRICANE_NO_PROBE": "1"}

    def tried(*flags: str, env: Mapping[str, str]) -> str:
        words = [sys.executable, "manage.py", "consume", "stage.amqp.Obedient", *flags]
        completed = run(words, env={**no_probe, **env})
        assert completed.returncode == 6, completed.stderr
        return completed.stderr

    assert f" 127.0.0.1:{variable}/variable was not reached" in tried(env=env)
    settings = as_settings(AMQP_PORT=int(setting), AMQP_VHOST="/setting")
    assert f" 127.0.0.1:{setting}/setting was not reached" in tried(env={**env, **settings})
    typed = tried("--amqp-port", flag, "--amqp-vhost", "/", env={**env, **settings})
    assert f" 127.0.0.1:{flag}/ was not reached" in typed


@pytest.mark.parametrize(
    ("handler", "sentence"),
    [
        ("stage.amqp.Absent", 'cannot import the handler "stage.amqp.Absent": '),
        ("stage.absent.Handler", 'cannot import the handler "stage.absent.Handler": '),
        ("stage.amqp.Stranger", 'the handler "stage.amqp.Stranger" is no consumer: '),
        ("stage.amqp.Silent", 'the handler "stage.amqp.Silent" has no on_message'),
        ("stage.amqp.Coroutine", 'on_message of the handler "stage.amqp.Coroutine" is a coroutine'),
    ],
)
def test_a_handler_that_cannot_consume_is_a_command_error(handler: str, sentence: str) -> None:
    code, line = ended("--amqp-host=localhost", "--amqp-port=1", handler=handler)
    assert code == 1
    assert line.startswith(f"CommandError: {sentence}")


def test_flags_of_servers_that_mean_nothing_here_are_refused() -> None:
    code, line = ended("--amqp-host=localhost", "--amqp-port=1", "--workers=2")
    assert code == 2
    assert "--workers" in line


def test_without_pika_the_sentence_says_what_to_install(tmp_path: Path) -> None:
    # Stands in front of the real one, as if that was not there.
    (tmp_path / "pika.py").write_text("raise ModuleNotFoundError('no pika', name='pika')\n")
    code, line = ended("--amqp-host=localhost", "--amqp-port=1", env={"PYTHONPATH": str(tmp_path)})
    assert code == 1
    assert "pip install 'django-hurricane[amqp]'" in line
