"""Writes what a wheel is made of, as CycloneDX: ``cargo xtask sbom``.

Crates are those that the extension module for Linux is made of, as ``Cargo.lock`` has them, with
macros; packages of Python are those that the wheel asks for, and theirs, in the versions of
``requirements/dev.txt``, which the images install as well. What only builds or tests is not there.
The same commit gives the same bytes.
"""

import json
import os
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
OURS = "hurricane-python"
TARGETS = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu")


def command(*words: str) -> str:
    """What a program in the checkout says."""
    done = subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def linked() -> tuple[dict[str, dict[str, str]], dict[str, set[str]]]:
    """Crates by their identifiers, and which of them each is built from."""
    platforms = [word for target in TARGETS for word in ("--filter-platform", target)]
    cargo = os.environ.get("CARGO", "cargo")
    told = json.loads(command(cargo, "metadata", "--format-version=1", "--locked", *platforms))
    packages = {package["id"]: package for package in told["packages"]}
    nodes = {node["id"]: node["deps"] for node in told["resolve"]["nodes"]}
    edges: dict[str, set[str]] = {}
    waiting = [key for key, package in packages.items() if package["name"] == OURS]
    while waiting:
        key = waiting.pop()
        if key not in edges:
            # No kind: neither of tests nor of build scripts.
            edges[key] = {
                it["pkg"]
                for it in nodes[key]
                if any(kind["kind"] is None for kind in it["dep_kinds"])
            }
            waiting += edges[key]
    return {key: packages[key] for key in edges}, edges


def checksums() -> dict[tuple[str, str], str]:
    """What each crate of others hashes to."""
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    return {(it["name"], it["version"]): it.get("checksum", "") for it in lock["package"]}


def crate(package: dict[str, str], known: dict[tuple[str, str], str]) -> Component:
    """A crate as a component."""
    name, version, terms = package["name"], package["version"], package.get("license")
    hashed = known.get((name, version))
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        bom_ref=f"cargo:{name}@{version}",
        purl=PackageURL("cargo", name=name, version=version),
        licenses=[LicenseExpression(terms.replace("/", " OR "))] if terms else [],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=hashed)] if hashed else [],
    )


def wanted(names: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Installed packages from these on, each with what it asks for."""
    seen: set[str] = set()
    while names:
        name = names.pop(0)
        if name in seen:
            continue
        seen.add(name)
        asked = [Requirement(it) for it in requires(name) or []]
        theirs = [it.name for it in asked if it.marker is None or it.marker.evaluate({"extra": ""})]
        yield name, theirs
        names += theirs


def main() -> None:
    """Writes it to standard output."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    crates, edges = linked()
    known = checksums()
    components = {key: crate(package, known) for key, package in crates.items()}
    main_crate = next(key for key, package in crates.items() if package["name"] == OURS)
    wheel = Component(
        type=ComponentType.APPLICATION,
        name=told["name"],
        version=crates[main_crate]["version"],
        bom_ref="wheel",
        purl=PackageURL("pypi", name=told["name"], version=crates[main_crate]["version"]),
        licenses=[LicenseExpression(told["license"])],
    )
    bom = Bom(components=components.values())
    bom.metadata.component = wheel
    for key, theirs in edges.items():
        bom.register_dependency(components[key], [components[it] for it in theirs])
    extras = [it for group in ("django", "amqp") for it in told["optional-dependencies"][group]]
    names = [Requirement(it).name for it in told["dependencies"] + extras]
    packages: dict[str, Component] = {}
    asks = dict(wanted(names))
    for name in asks:
        try:
            version = distribution(name).version
        except PackageNotFoundError:
            sys.exit(f"{name} is not installed; run this by `cargo xtask sbom`")
        packages[name] = Component(
            type=ComponentType.LIBRARY,
            name=name,
            version=version,
            bom_ref=f"pypi:{name}@{version}",
            purl=PackageURL("pypi", name=name.lower(), version=version),
        )
        bom.components.add(packages[name])
    for name, theirs in asks.items():
        bom.register_dependency(packages[name], [packages[it] for it in theirs])
    direct = {Requirement(it).name for it in told["dependencies"] + extras}
    bom.register_dependency(wheel, [components[main_crate], *(packages[it] for it in direct)])
    committed = int(command("git", "log", "-1", "--format=%ct"))
    bom.metadata.timestamp = datetime.fromtimestamp(committed, UTC)
    listed = [str(committed), *sorted(it.bom_ref.value or "" for it in bom.components)]
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_OID, "\n".join(listed))
    sys.stdout.write(JsonV1Dot6(bom).output_as_string(indent=1) + "\n")


if __name__ == "__main__":
    main()
