"""The list of what a wheel is made of: whole, and the same for the same commit."""

import json
import os
import subprocess
import sys

from packages import ROOT, directory_with


def bill() -> str:
    env = {**os.environ, "PYTHONPATH": str(directory_with("sbom"))}
    words = [sys.executable, str(ROOT / "deploy/sbom.py")]
    return subprocess.run(words, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout


def test_the_bill_names_what_is_shipped_and_nothing_else() -> None:
    written = bill()
    assert written == bill()
    found = json.loads(written)
    components = {it["name"]: it for it in found["components"]}
    assert found["metadata"]["component"]["name"] == "django-hurricane"
    assert {"hurricane-http", "httparse", "monoio", "pyo3", "Django"} <= set(components)
    # These only test.
    assert {"proptest", "loom", "pytest", "hurricane-testkit"}.isdisjoint(components)
    theirs = [it for it in components.values() if it["purl"].startswith("pkg:cargo/")]
    theirs = [it for it in theirs if not it["name"].startswith("hurricane")]
    assert all(it["hashes"] and it["licenses"] for it in theirs)
    depends = {it["ref"]: it.get("dependsOn", []) for it in found["dependencies"]}
    assert any(it.startswith("cargo:hurricane-python@") for it in depends["wheel"])
