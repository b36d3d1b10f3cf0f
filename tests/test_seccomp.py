"""``deploy/seccomp``: the profile is the runtime's default and io_uring's calls, nothing else."""

import json
import runpy
from typing import Any

from manifests import ROOT

SECCOMP = ROOT / "deploy" / "seccomp"
IO_URING = {"io_uring_enter", "io_uring_register", "io_uring_setup"}
# A default profile with each of the conditions that there are.
DEFAULT = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 1,
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X32"]}],
    "syscalls": [
        {"names": ["read", "io_uring_setup"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64"]}},
        {"names": ["s390_pci"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390x"]}},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {
            "names": ["clone"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 2114060288, "op": "SCMP_CMP_MASKED_EQ"}],
            "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["s390"]},
        },
        {
            "names": ["clone3"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 38,
            "excludes": {"caps": ["CAP_SYS_ADMIN"]},
        },
    ],
}


def committed() -> dict[str, Any]:
    """The profile that is installed on nodes."""
    found: dict[str, Any] = json.loads((SECCOMP / "io-uring.json").read_text())
    return found


def test_conditions_are_decided_for_a_container_without_capabilities() -> None:
    generate = runpy.run_path(str(SECCOMP / "generate.py"))["generate"]
    profile = generate(DEFAULT)
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    assert profile["syscalls"] == [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW"},
        {
            "names": ["clone"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 2114060288, "op": "SCMP_CMP_MASKED_EQ"}],
        },
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        {"names": sorted(IO_URING), "action": "SCMP_ACT_ALLOW"},
    ]


def test_the_profile_has_what_the_format_of_runtimes_has() -> None:
    profile = committed()
    assert set(profile) == {"defaultAction", "defaultErrnoRet", "architectures", "syscalls"}
    known = {"names", "action", "args", "errnoRet"}
    assert all(set(rule) <= known for rule in profile["syscalls"])


def test_the_profile_allows_io_uring_and_nothing_that_wants_a_capability() -> None:
    profile = committed()
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    rules = [rule for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW"]
    whole = {name for rule in rules if "args" not in rule for name in rule["names"]}
    assert whole >= IO_URING | {"read", "epoll_wait", "memfd_create"}
    privileged = {"bpf", "clone", "clone3", "init_module", "kexec_load", "mount", "perf_event_open"}
    assert whole.isdisjoint(privileged | {"pivot_root", "setns", "unshare", "userfaultfd"})
