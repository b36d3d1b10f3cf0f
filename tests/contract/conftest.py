"""Runs the contract against this Hurricane, or with ``--original PYTHON`` against its predecessor.

Each test is a row of the contract. A row that differs on purpose is in ``differences.toml``: the
original must fail it, and only those. A test marked ``old`` says what such a row was before: it
holds for the original, and for us with ``--compat 1.6``.

With ``--as-before`` every row is held against this Hurricane with ``--compat 1.6``, which must fail
those that this brings back, as the original does, and no other.
"""

from collections.abc import Generator
from pathlib import Path

import pytest

from contract.differences import listed
from contract.target import Contract, Serve

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Expects the original to fail exactly the rows that are listed."""
    original, before = config.getoption("--original"), config.getoption("--as-before")
    failing = [difference for difference in listed() if original or difference.compat]
    differing = {row for difference in failing for row in difference.rows}
    for item in items:
        if HERE not in item.path.parents or item.path.name == "test_differences.py":
            continue
        rows = [mark.args[0] for mark in item.iter_markers("row")]
        old = [mark.args[0] for mark in item.iter_markers("old")]
        assert len(rows) + len(old) == 1, f"{item.nodeid} must be one row of the contract"
        if (original or before) and differing.intersection(rows):
            item.add_marker(pytest.mark.xfail(reason="differs on purpose", strict=True))


@pytest.fixture(scope="session")
def contract(request: pytest.FixtureRequest) -> Generator[Contract]:
    """Whom the tests talk to."""
    original = request.config.getoption("--original")
    before = bool(request.config.getoption("--as-before"))
    subject = Contract(str(original), original=True) if original else Contract(before=before)
    yield subject
    subject.end()


@pytest.fixture
def serve(contract: Contract, request: pytest.FixtureRequest) -> Generator[Serve]:
    """Starts servers for one test."""
    legacy = contract.before or request.node.get_closest_marker("old") is not None
    starter = Serve(contract, legacy=legacy)
    yield starter
    starter.end()
