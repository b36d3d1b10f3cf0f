"""The names that projects and their tests import."""

import json

import pytest

from contract.target import Contract

mark = pytest.mark

NAMES = {
    "hurricane.server": [
        "logger",
        "signal_handler",
        "static_watch",
        "check_databases",
        "count_migrations",
        "check_db_and_migrations",
        "command_task",
        "sanitize_probes",
    ],
    "hurricane.server.loggers": [
        "STRUCTLOG_ENABLED",
        "logger",
        "access_log",
        "app_log",
        "metrics_log",
    ],
    "hurricane.server.debugging": ["setup_debugging"],
    "hurricane.server.exceptions": ["IncompatibleOptions"],
    "hurricane.server.wsgi": ["HurricaneWSGIContainer._sanitize_header_value"],
    "hurricane.metrics": [
        "registry.register",
        "registry.unregister",
        "registry.get",
        "registry.metrics",
        "RequestCounterMetric",
        "RequestQueueLengthMetric",
        "ResponseTimeAverageMetric",
        "StartupTimeMetric",
    ],
    "hurricane.metrics.base": [
        "StoredMetric",
        "CalculatedMetric",
        "CounterMetric",
        "AverageMetric",
        "ObservedMetric",
    ],
    "hurricane.metrics.requests": ["InfoMetrics", "PathCounterMetric"],
    "hurricane.metrics.exceptions": ["MetricIdAlreadyRegistered"],
    "hurricane.webhooks": ["webhook_registry", "LivenessWebhook", "ReadinessWebhook"],
    "hurricane.webhooks.base": ["Webhook", "WebhookStatus"],
    "hurricane.webhooks.exceptions": ["WebhookCodeAlreadyRegistered"],
    "hurricane.amqp.basehandler": ["TopicHandler", "_AMQPConsumer"],
    "hurricane.amqp.worker": ["AMQPClient"],
    "hurricane.management.commands": ["HURRICANE_DIST_VERSION"],
}
TESTING = {
    "hurricane.testing": ["HurricanServerTest", "HurricaneAMQPTest"],
    "hurricane.testing.drivers": [
        "HurricaneServerDriver",
        "HurricaneWebhookServerDriver",
        "HurricaneAMQPDriver",
        "BusyPortException",
    ],
    "hurricane.testing.actors": ["TestPublisher", "HTTPClient"],
}

# Imports each name and tells why it cannot be had, if it cannot.
LOOK = """
import functools, importlib, json, sys
found = {}
for module, names in json.loads(sys.argv[1]).items():
    for name in names:
        try:
            functools.reduce(getattr, name.split("."), importlib.import_module(module))
        except Exception as error:
            found[f"{module} {name}"] = repr(error)
        else:
            found[f"{module} {name}"] = None
print(json.dumps(found))
"""
SET_UP = "import django; django.setup()\n"


def look(
    contract: Contract, what: dict[str, list[str]], *, configured: bool, before: str = ""
) -> dict[str, object]:
    """What happens to each name, after some other code."""
    env = {"DJANGO_SETTINGS_MODULE": "agreed.settings"} if configured else {}
    code = before + (SET_UP if configured else "") + LOOK
    ended = contract.run("-c", code, json.dumps(what), env=env)
    assert ended.code == 0, ended.err
    found: dict[str, object] = json.loads(ended.out.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def names(contract: Contract) -> dict[str, object]:
    """What happens to each name in a project."""
    return look(contract, NAMES, configured=True)


@mark.row("names.importable")
@mark.parametrize("name", [f"{module} {name}" for module, all_ in NAMES.items() for name in all_])
def test_a_name_can_be_imported(names: dict[str, object], name: str) -> None:
    assert names[name] is None


@mark.row("names.before-settings")
@mark.parametrize("module", ["hurricane.server", "hurricane.metrics"])
def test_a_settings_module_may_import_it(contract: Contract, module: str) -> None:
    found = look(contract, {module: ["__name__"]}, configured=False)
    assert found == {f"{module} __name__": None}


@mark.row("names.testing")
def test_drivers_and_test_cases_need_no_docker(contract: Contract) -> None:
    code = "import sys; sys.modules['docker'] = None\n"
    found = look(contract, TESTING, configured=True, before=code)
    assert {name: error for name, error in found.items() if error} == {}


@mark.row("names.empty-field")
def test_the_sanitizer_strips_and_drops(contract: Contract) -> None:
    code = (
        "from hurricane.server.wsgi import HurricaneWSGIContainer as container\n"
        "print([container._sanitize_header_value(text) for text in (' a ', ' ', '', 'b')])"
    )
    assert (
        contract.run(
            "-c", SET_UP + code, env={"DJANGO_SETTINGS_MODULE": "agreed.settings"}
        ).out.strip()
        == "['a', None, None, 'b']"
    )


@mark.row("names.registered-twice")
def test_what_is_registered_twice_is_refused(contract: Contract) -> None:
    code = (
        "from hurricane.metrics import registry\n"
        "from hurricane.metrics.base import CounterMetric\n"
        "from hurricane.metrics.exceptions import MetricIdAlreadyRegistered\n"
        "class Orders(CounterMetric):\n"
        "    code = 'orders'\n"
        "registry.register(Orders)\n"
        "try:\n"
        "    registry.register(Orders)\n"
        "except MetricIdAlreadyRegistered:\n"
        "    Orders.increment()\n"
        "    print(Orders.get())\n"
    )
    env = {"DJANGO_SETTINGS_MODULE": "agreed.settings"}
    assert contract.run("-c", SET_UP + code, env=env).out.strip() == "1"
