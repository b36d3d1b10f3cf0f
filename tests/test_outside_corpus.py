"""Request cases that others have collected and judged, replayed over sockets, where they are there.

They are of no package, in a folder beside the checkout or where ``HURRICANE_HTTP_CORPUS`` says,
with the program that replays and judges them. Without it there is nothing here to test.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Starter
from packages import ROOT

CORPUS = Path(os.environ.get("HURRICANE_HTTP_CORPUS", ROOT.parent / "shared/http-corpus"))
# Seconds without an answer that count as a hang, unless one comes in more than twice of them. Many
# cases wait for as long, so they wait side by side.
HOW = ("--wait", "2", "--jobs", "32")


@pytest.mark.parametrize("pieces", ["0", "3"])
def test_each_case_is_judged_right_by_the_stricter_bar(
    start: Starter, pieces: str, tmp_path: Path
) -> None:
    server = start(application="echo_wsgi:app", env={"PYTHONPATH": str(CORPUS / "apps")})
    results = tmp_path / "results.json"
    replay = [sys.executable, str(CORPUS / "conform.py"), f"127.0.0.1:{server.port}"]
    subprocess.run(
        [*replay, *HOW, "--split", pieces, "--json", str(results)],
        check=False,
        stdout=subprocess.DEVNULL,
    )
    cases = json.loads(results.read_text())["cases"]
    assert len(cases) > 200
    wrong = {it["id"]: (it["out"], it["bar"]) for it in cases if it["bar"] != "right"}
    assert wrong == {}


# Not skipped, as nothing is missing of ours.
if not CORPUS.is_dir():
    del test_each_case_is_judged_right_by_the_stricter_bar
