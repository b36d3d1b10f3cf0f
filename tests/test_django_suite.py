"""Django's own tests of what we stand in for, with our request class and handler."""

import pytest

import django_suite
from django_suite import Suite

# What asks for most in the shortest time; all labels: ``python tests/django_suite.py``.
LABELS = [
    "requests_tests", "handlers", "wsgi", "conditional_processing", "httpwrappers", "csrf_tests",
    "middleware", "file_uploads", "test_client",
]  # fmt: skip


@pytest.fixture(scope="module")
def suites() -> tuple[Suite, Suite]:
    tests = django_suite.fetch()
    stock, ours = (django_suite.run(tests, LABELS, ours=ours) for ours in (False, True))
    return stock, ours


def test_djangos_own_tests_pass_with_our_request_class_and_handler(
    suites: tuple[Suite, Suite],
) -> None:
    stock, ours = suites
    assert [*stock.outcomes.values()].count("ok") > 600
    different = {name: it for name, it in ours.outcomes.items() if stock.outcomes.get(name) != it}
    assert different == {}
    assert ours.outcomes.keys() == stock.outcomes.keys()


def test_most_requests_of_them_are_made_natively(suites: tuple[Suite, Suite]) -> None:
    _, ours = suites
    assert ours.native > ours.requests * 0.6
