"""Runs Django's own tests with our request class in the place of Django's.

``python tests/django_suite.py [LABEL…]`` fetches the source distribution of the Django that is
installed, runs its tests twice (as Django has it, and with our class), and fails if another set
passes. It takes minutes, so ``test_django_suite.py`` runs a part of it.
"""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

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
OUTCOME = re.compile(
    r"^(test\w+ \([^)]+\)).*\.\.\. (ok|FAIL|ERROR|skipped|expected failure)", re.MULTILINE
)


def fetch() -> Path:
    """The tests of the installed release."""
    return source_of("Django", django.get_version()) / "tests"


def run(tests: Path, labels: list[str], *, ours: bool) -> dict[str, str]:
    """What came of each test."""
    environment = {
        **os.environ,
        OURS: "1" if ours else "",
        "PYTHONPATH": os.pathsep.join(sys.path),
        # Its own, not those of the tests that run it.
        "DJANGO_SETTINGS_MODULE": "test_sqlite",
    }
    words = [sys.executable, __file__, "--inside", str(tests), *labels, "--parallel=1", "-v2"]
    done = subprocess.run(
        words, cwd=tests, env=environment, capture_output=True, text=True, check=False
    )
    found = dict(OUTCOME.findall(done.stderr))
    if not found:
        sys.exit(f"no test was run:\n{done.stderr[-4000:]}")
    return found


def inside(tests: str, words: list[str]) -> None:
    """Django's ``runtests.py`` in this process, with our class if that was asked for."""
    sys.path.insert(0, tests)
    if os.environ.get(OURS):
        from django.core.handlers import wsgi

        from hurricane.interface.request import WSGIRequest

        wsgi.WSGIRequest = WSGIRequest  # type: ignore[misc]
        wsgi.WSGIHandler.request_class = WSGIRequest
    sys.argv = ["runtests.py", *words]
    runpy.run_path(f"{tests}/runtests.py", run_name="__main__")


def main() -> None:
    """Compares."""
    tests = fetch()
    labels = sys.argv[1:] or [it for it in LABELS if (tests / it.partition(".")[0]).is_dir()]
    stock, ours = (run(tests, labels, ours=ours) for ours in (False, True))
    passed = sum(outcome == "ok" for outcome in ours.values())
    different = {name: (stock.get(name), ours.get(name)) for name in {*stock, *ours}
                 if stock.get(name) != ours.get(name)}  # fmt: skip
    sys.stdout.write(f"{len(ours)} tests, {passed} passed with our request class\n")
    for name, (before, after) in sorted(different.items()):
        sys.stdout.write(f"{name}: {before} as Django has it, {after} with ours\n")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2], sys.argv[3:])
    else:
        main()
