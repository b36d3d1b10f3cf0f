"""Compares many connections with h11 and llhttp, and says what ``docs/conformance.md`` does not.

``python tests/parsers.py --seed 2 --count 1000000``. ``test_parsers.py`` compares some of one seed.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import frames
import generated
from packages import ROOT

# A parser, what we say, what it says.
Difference = tuple[str, str, str]
BATCH = 20_000


def documented(names: Iterable[str]) -> set[Difference]:
    """The rows of the tables whose first column is one of these."""
    names = set(names)
    lines = (ROOT / "docs/conformance.md").read_text().splitlines()
    rows = ([cell.strip().replace("`", "") for cell in line.split("|")[1:-1]] for line in lines)
    return {(row[0], row[1], row[2]) for row in rows if len(row) == 4 and row[0] in names}


def differences(inputs: Sequence[bytes]) -> Iterator[tuple[Difference, bytes]]:
    """What is not the same, and for which bytes."""
    for data, mine in zip(inputs, frames.ours(inputs), strict=True):
        for name, parse in frames.THEIRS.items():
            found = frames.difference(mine, parse(data))
            if found:
                yield (name, found[0], found[1].replace("`", "")), data


def main() -> None:
    """Says how often each difference came, and fails if one is not documented."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--count", type=int, default=100_000)
    given = arguments.parse_args()
    known = documented(frames.THEIRS)
    seen: Counter[Difference] = Counter()
    unknown: dict[Difference, bytes] = {}
    began = time.monotonic()
    connections = generated.connections(given.seed, given.count)
    while batch := list(islice(connections, BATCH)):
        for difference, data in differences(batch):
            seen[difference] += 1
            if difference not in known and len(data) < len(unknown.get(difference, data + b" ")):
                unknown[difference] = data
    for (name, we, they), count in seen.most_common():
        sys.stdout.write(f"{count:8} {name}: ours {we}, theirs {they}\n")
    for difference, data in unknown.items():
        sys.stdout.write(f"not in docs/conformance.md: {difference} of {data!r}\n")
    took = time.monotonic() - began
    sys.stdout.write(f"{given.count} connections, {len(seen)} kinds of difference, {took:.0f} s\n")
    sys.exit(1 if unknown else 0)


if __name__ == "__main__":
    main()
