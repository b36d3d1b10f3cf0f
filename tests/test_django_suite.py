"""Django's own tests of what we stand in for, with our request class."""

import pytest

import django_suite

# What asks for most in the shortest time; all labels: ``python tests/django_suite.py``.
LABELS = ["requests_tests", "handlers", "wsgi", "conditional_processing", "httpwrappers"]


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    return django_suite.run(django_suite.fetch(), LABELS, ours=True)


def test_djangos_own_tests_pass_with_our_request_class(outcomes: dict[str, str]) -> None:
    assert len(outcomes) > 200
    different = {name: it for name, it in outcomes.items() if it in ("FAIL", "ERROR")}
    assert different == {}
