"""The tests of a project that was tested with Django-Hurricane, run with ours in its place.

``--original PYTHON`` runs them with the original instead, to see that they are such a project's.
"""

import sys

import pytest

from serving import TESTS, free_port, run


def test_a_projects_tests_pass_unchanged(pytestconfig: pytest.Config) -> None:
    original = pytestconfig.getoption("--original", None)
    ports = {"SHOP_PORT": str(free_port()), "SHOP_PROBE_PORT": str(free_port())}
    # The original's receiver of webhooks has one port only.
    ports |= {} if original else {"SHOP_RECEIVER_PORT": str(free_port())}
    words = [original or sys.executable, "manage.py", "test"]
    ended = run(words, env=ports, cwd=TESTS / "dropin", deadline=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
