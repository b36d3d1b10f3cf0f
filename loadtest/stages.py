"""Which stage of a request a stack belongs to.

A stack counts for its innermost frame that a rule knows: the kernel's part of a write is part of
the write, a dictionary that is filled for `environ` is part of that, and Python is the application
only where it runs bytecode.
"""

import re
from collections import Counter
from collections.abc import Iterable

# Parts of names of functions. The first stage that knows a frame wins.
NAMES = {
    "accept": ("accept", "hurricane_worker::listener"),
    "environ": ("_core::environ", "_core::input"),
    "response": (
        "_core::respond", "_core::announced", "_core::call::", "hurricane_http::response",
        "hurricane_http::encoder", "hurricane_http::date",
    ),
    "write": (
        "tcp_sendmsg", "io_send", "sendfile", "__send", "sendto", "writev", "_core::transmission",
        "_core::outbox", "_core::held", "hurricane_worker::response", "hurricane_worker::sink",
    ),
    "read": (
        "tcp_recvmsg", "io_recv", "__recv", "recvfrom", "hurricane_worker::source",
        "hurricane_worker::body", "hurricane_worker::spool",
    ),
    "parse": ("httparse", "hurricane_http::"),
    "application": ("_PyEval_EvalFrameDefault", "native::greet", "hurricane::service"),
    "queue": (
        "futex", "take_gil", "drop_gil", "PyEval_AcquireThread", "PyEval_RestoreThread",
        "PyEval_SaveThread", "pthread_cond", "_core::pool", "_core::application",
        "hurricane_worker::exchange",
    ),
    "loop": (
        "io_uring", "io_cqring", "epoll", "monoio", "tokio", "hurricane_worker",
        "hurricane_scoreboard", "hurricane_control", "hurricane::supervisor",
    ),
}  # fmt: skip

RULES = [(stage, re.compile("|".join(map(re.escape, names)))) for stage, names in NAMES.items()]

# In the order of a request; what is no stage of one stands last.
STAGES = (
    "accept", "read", "parse", "queue", "environ", "application", "response", "write", "loop",
    "other",
)  # fmt: skip


def stage(frames: Iterable[str]) -> str:
    """The stage of a stack, whose innermost frame is the last."""
    for frame in reversed(list(frames)):
        for name, pattern in RULES:
            if pattern.search(frame):
                return name
    return "other"


def count(folded: Iterable[str]) -> Counter[str]:
    """Samples by stage, from lines such as `outer;inner 12`."""
    found: Counter[str] = Counter()
    for line in folded:
        stack, _, samples = line.rpartition(" ")
        found[stage(stack.split(";"))] += int(samples)
    return found


def table(counted: Counter[str], cpu_us: float | None = None) -> str:
    """For the terminal, with the CPU time of a request shared out where it is known."""
    total = max(counted.total(), 1)
    lines = [f"{'stage':12}{'share':>8}" + (f"{'CPU µs':>10}" if cpu_us else "")]
    for name in STAGES:
        share = counted[name] / total
        micros = f"{share * cpu_us:10.2f}" if cpu_us else ""
        lines.append(f"{name:12}{share:8.1%}{micros}")
    return "\n".join(lines)
