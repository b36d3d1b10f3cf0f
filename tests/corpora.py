"""The requests that gunicorn and h11 test their own parsers with, and what they expect of them.

They come from the source distributions on the package index, when they are asked for, and are
read in a process of their own, which finds that release of the package and no other.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import frames
from packages import source_of

RELEASES = {"gunicorn": "27.0.1", "h11": "0.16.0"}


@dataclass
class Case:
    """Bytes, and the requests that are expected; ``None``: a refusal."""

    name: str
    data: bytes
    expected: list[dict[str, str]] | None


def cases(package: str) -> list[Case]:
    """All that a release tests requests with."""
    source = source_of(package, RELEASES[package])
    path = os.pathsep.join([str(source), str(source / "tests")])
    told = subprocess.run(
        [sys.executable, __file__, package, str(source)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        check=True,
    )
    return [
        Case(it["name"], it["data"].encode("latin-1"), it["expected"])
        for it in json.loads(told.stdout)
    ]


def judged(package: str) -> tuple[int, set[tuple[str, str]]]:
    """How many cases there are, and what we say differently of which.

    Many say HTTP/1.1 and have no Host. They get one, so that the rest of them is judged.
    """
    all_cases = cases(package)
    verdicts = frames.ours([case.data for case in all_cases])
    again = [case for case, mine in zip(all_cases, verdicts, strict=True) if lacks_host(mine)]
    with_host = [re.sub(rb"( HTTP/1\.1\r\n)", rb"\1Host: a\r\n", case.data) for case in again]
    better = {case.name: mine for case, mine in zip(again, frames.ours(with_host), strict=True)}
    found = set()
    for case, mine in zip(all_cases, verdicts, strict=True):
        said = verdict(case, better.get(case.name, mine))
        if said:
            found.add((case.name, said))
    return len(all_cases), found


def lacks_host(mine: frames.Outcome) -> bool:
    return mine.refusal == "missing_host"


def verdict(case: Case, mine: frames.Outcome) -> str | None:
    """What we say, if it is not what is expected.

    Who still waits where a refusal is expected has let nothing through.
    """
    if case.expected is None:
        return "accepts" if mine.requests and mine.refusal is None else None
    if len(mine.requests) < len(case.expected):
        return mine.refusal or "waits"
    for us, them in zip(mine.requests, case.expected, strict=False):
        for part, value in them.items():
            if getattr(us, part) != value.encode("latin-1"):
                return f"another {part}"
    return None


def text(value: bytes | str) -> str:
    """Bytes as JSON takes them."""
    return value if isinstance(value, str) else value.decode("latin-1")


def of_gunicorn(source: Path) -> Iterator[dict[str, Any]]:
    """``tests/requests/{valid,invalid}``: bytes beside Python that says what they are."""
    reader = import_module("treq")
    for kind in ("valid", "invalid"):
        for path in sorted((source / "tests/requests" / kind).glob("*.http")):
            stated = reader.load_py(str(path.with_suffix(".py")))["request"]
            data = text(reader.request(str(path), stated).data)
            expected = None
            if kind == "valid":
                expected = [
                    {
                        "method": it["method"],
                        "target": it["uri"]["raw"],
                        "body": text(it["body"]),
                    }
                    for it in (stated if isinstance(stated, list) else [stated])
                ]
            yield {"name": f"{kind}/{path.stem}", "data": data, "expected": expected}


def of_h11(source: Path) -> Iterator[dict[str, Any]]:
    """What ``test_io`` reads as a server, with the verdict of its own reader."""
    tests = import_module("h11.tests.test_io")
    events = import_module("h11")
    is_server = tests.READERS[tests.CLIENT, tests.IDLE]
    found: dict[bytes, list[dict[str, str]] | None] = {}
    original = tests.tr

    def recorded(reader: Any, given: bytes, expected: Any) -> None:
        data = bytes(given)
        if reader is is_server:
            found[data] = None
        original(reader, given, expected)
        if reader is is_server and isinstance(expected, events.Request):
            found[data] = [{"method": text(expected.method), "target": text(expected.target)}]

    vars(tests)["tr"] = recorded
    for name, test in vars(tests).items():
        if name.startswith("test_") and not signature(test).parameters:
            test()
    for number, (data, expected) in enumerate(found.items()):
        yield {"name": f"request {number}", "data": text(data), "expected": expected}


if __name__ == "__main__":
    # Some of the tests print.
    with redirect_stdout(sys.stderr):
        collected = list({"gunicorn": of_gunicorn, "h11": of_h11}[sys.argv[1]](Path(sys.argv[2])))
    sys.stdout.write(json.dumps(collected))
