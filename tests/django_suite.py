"""Runs Django's own tests with our request class and handler in the place of Django's.

``python tests/django_suite.py [LABEL…]`` fetches the source distribution of the Django that is
installed, runs its tests twice (as Django has it, and with ours), and fails if another set
passes. It takes minutes, so ``test_django_suite.py`` runs a part of it.
"""

import json
import os
import runpy
import subprocess
import sys
import tempfile
import unittest
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import django

from packages import source_of

LABELS = (
    "requests_tests", "handlers", "middleware", "sessions_tests", "csrf_tests", "cache",
    "conditional_processing", "file_uploads", "signals", "httpwrappers", "responses",
    "urlpatterns_reverse", "test_client", "test_client_regress", "view_tests", "messages_tests",
    "auth_tests.test_middleware", "i18n.tests", "decorators", "context_processors", "wsgi",
    "servers.test_basehttp", "syndication_tests", "staticfiles_tests", "builtin_server",
)  # fmt: skip
OURS = "DJANGO_SUITE_OURS"
RECORD = "DJANGO_SUITE_RECORD"


@dataclass(frozen=True)
class Suite:
    """What came of a run."""

    # By the test's name: ok, failed, error, skipped, expected.
    outcomes: dict[str, str]
    # Requests that were made natively, and all that were made for the test client and the handler.
    native: int
    requests: int


class Recorder(unittest.TextTestResult):
    """Keeps what came of each test."""

    outcomes: dict[str, str] = {}  # noqa: RUF012 - one run a process

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's names
        """Unless one of its parts has failed."""
        super().addSuccess(test)
        self.outcomes.setdefault(test.id(), "ok")

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        """An assertion."""
        super().addFailure(test, err)
        self.outcomes[test.id()] = "failed"

    def addError(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        """Also of a class's or module's preparation."""
        super().addError(test, err)
        self.outcomes[test.id()] = "error"

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        """By the test itself."""
        super().addSkip(test, reason)
        self.outcomes[test.id()] = "skipped"

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        """As Django says."""
        super().addExpectedFailure(test, err)
        self.outcomes[test.id()] = "expected"

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        """Of what Django expects to fail."""
        super().addUnexpectedSuccess(test)
        self.outcomes[test.id()] = "failed"

    def addSubTest(  # noqa: N802
        self,
        test: unittest.TestCase,
        subtest: unittest.TestCase,
        err: Any,
    ) -> None:
        """One part of a test."""
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.outcomes[test.id()] = "failed"


def fetch() -> Path:
    """The tests of the installed release."""
    return source_of("Django", django.get_version()) / "tests"


def run(tests: Path, labels: list[str], *, ours: bool) -> Suite:
    """Runs these tests in a process of their own."""
    with tempfile.NamedTemporaryFile() as record:
        environment = {
            **os.environ,
            OURS: "1" if ours else "",
            RECORD: record.name,
            "PYTHONPATH": os.pathsep.join(sys.path),
            # Its own, not those of the tests that run it.
            "DJANGO_SETTINGS_MODULE": "test_sqlite",
        }
        words = [sys.executable, __file__, "--inside", str(tests), *labels, "--parallel=1"]
        done = subprocess.run(
            words, cwd=tests, env=environment, capture_output=True, text=True, check=False
        )
        written = Path(record.name).read_text()
    if not written or not (suite := Suite(**json.loads(written))).outcomes:
        sys.exit(f"no test was run:\n{done.stderr[-4000:]}")
    return suite


def inside(tests: str, words: list[str]) -> None:
    """Django's ``runtests.py`` in this process, with ours if that was asked for."""
    sys.path.insert(0, tests)
    unittest.TextTestRunner.resultclass = Recorder  # type: ignore[assignment]
    counts = {"native": 0, "all": 0}
    if os.environ.get(OURS):
        import native_handler

        counts = native_handler.counts
        native_handler.put_in_place()
    sys.argv = ["runtests.py", *words]
    process = os.getpid()
    try:
        runpy.run_path(f"{tests}/runtests.py", run_name="__main__")
    finally:
        # Some tests fork.
        if os.getpid() == process:
            suite = Suite(Recorder.outcomes, counts["native"], counts["all"])
            Path(os.environ[RECORD]).write_text(json.dumps(asdict(suite)))


def main() -> None:
    """Compares."""
    tests = fetch()
    labels = sys.argv[1:] or [it for it in LABELS if (tests / it.partition(".")[0]).is_dir()]
    stock, ours = (run(tests, labels, ours=ours) for ours in (False, True))
    different = {
        name: (stock.outcomes.get(name), ours.outcomes.get(name))
        for name in {*stock.outcomes, *ours.outcomes}
        if stock.outcomes.get(name) != ours.outcomes.get(name)
    }
    counts = {it: [*ours.outcomes.values()].count(it) for it in sorted({*ours.outcomes.values()})}
    said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    sys.stdout.write(
        f"Django {django.get_version()}: {len(ours.outcomes)} tests: {said}\n"
        f"{ours.native} of {ours.requests} requests were made natively\n"
    )
    for name, (before, after) in sorted(different.items()):
        sys.stdout.write(f"{name}: {before} as Django has it, {after} with ours\n")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2], sys.argv[3:])
    else:
        main()
