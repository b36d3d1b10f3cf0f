"""Requests are to us what they are to others, but for what docs/conformance.md says."""

import pytest

import corpora
import generated
import parsers
from frames import THEIRS

COUNT = 20_000
SEED = 1


def test_every_difference_from_h11_and_llhttp_is_documented() -> None:
    known = parsers.documented(THEIRS)
    inputs = [*generated.seeds(), *generated.connections(SEED, COUNT)]
    unknown = {
        difference: data
        for difference, data in parsers.differences(inputs)
        if difference not in known
    }
    assert unknown == {}


@pytest.mark.parametrize(("package", "fewest"), [("gunicorn", 143), ("h11", 15)])
def test_what_others_test_themselves_with_is_judged_as_documented(
    package: str, fewest: int
) -> None:
    count, found = corpora.judged(package)
    assert count >= fewest
    assert {(f"{package} tests", *it) for it in found} == parsers.documented([f"{package} tests"])
