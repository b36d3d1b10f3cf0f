"""Makes ``io-uring.json``: the default profile of Docker and containerd, and io_uring's calls.

``generate.py DEFAULT_JSON >io-uring.json``, where DEFAULT_JSON is Docker's ``default.json``. Debian
has it in the package ``golang-github-docker-docker-dev``; without an argument it is fetched from
there by apt.

Docker's file has conditions: on capabilities, architectures and kernels. containerd reads a pod's
profile as the runtime's own format, which knows none of them, and would take every conditional rule
as unconditional: ``mount`` for everybody. So conditions are decided here, for a container without
capabilities, as PodSecurity *restricted* asks for, on the two architectures below.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

IO_URING = ["io_uring_enter", "io_uring_register", "io_uring_setup"]
# As Docker's conditions call them, and as profiles do.
ARCHITECTURES = {"amd64", "arm64"}
SCMP_ARCHITECTURES = ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]
PACKAGE = "golang-github-docker-docker-dev"
IN_PACKAGE = "./usr/share/gocode/src/github.com/docker/docker/profiles/seccomp/default.json"

# What one of Docker's rules, or the whole file, is made of.
Json = dict[str, Any]


def generate(default: Json) -> Json:
    """The profile: rules without conditions, and one more."""
    rules = [unconditional(rule) for rule in default["syscalls"] if holds(rule)]
    return {
        "defaultAction": default["defaultAction"],
        "defaultErrnoRet": default.get("defaultErrnoRet", 1),
        "architectures": SCMP_ARCHITECTURES,
        "syscalls": [*rules, {"names": IO_URING, "action": "SCMP_ACT_ALLOW"}],
    }


def holds(rule: Json) -> bool:
    """Whether its conditions do, without any capability, on kernels that have io_uring."""
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    if includes.get("caps"):
        return False
    wanted = includes.get("arches")
    if wanted and not ARCHITECTURES & set(wanted):
        return False
    return not ARCHITECTURES & set(excludes.get("arches") or ())


def unconditional(rule: Json) -> Json:
    """The rule in the runtime's own format. io_uring's names have a rule of their own."""
    names = [name for name in rule["names"] if name not in IO_URING]
    kept = {key: rule[key] for key in ("action", "args", "errnoRet") if rule.get(key)}
    return {"names": names, **kept}


def packaged() -> Json:
    """Docker's file out of Debian's package."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            ["apt-get", "download", "-qq", PACKAGE], cwd=directory, check=True, capture_output=True
        )
        package = next(Path(directory).glob("*.deb"))
        unpack = ["dpkg-deb", "--fsys-tarfile", str(package)]
        with subprocess.Popen(unpack, stdout=subprocess.PIPE) as archive:
            text = subprocess.check_output(["tar", "-xO", IN_PACKAGE], stdin=archive.stdout)
    found: Json = json.loads(text)
    return found


def main() -> None:
    """Reads one profile and prints the other."""
    default = json.loads(Path(sys.argv[1]).read_text()) if sys.argv[1:] else packaged()
    json.dump(generate(default), sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
