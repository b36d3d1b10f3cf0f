"""Stacks from valgrind's callgrind, for machines without perf: exact counts, approximate stacks.

Callgrind knows what each function has cost and who called it, not whole stacks. They are put
together from the outside in: what a function costs for one caller is shared out among what it calls
as it is over all callers. Counts are instructions of user code; the kernel's part is missing.
"""

import re
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from generator import Generator, Load
from processes import command_name, tree
from running import Service, Site, serve
from servers import Subject

REQUESTS = 300
SECONDS_MAX = 120

# Stacks that cost less of the whole are not drawn, nor deeper ones.
SHARE_MIN = 0.0005
DEPTH_MAX = 60


@dataclass
class Function:
    """What a function has cost by itself, and with each function that it has called."""

    own: int = 0
    calls: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    called: bool = False

    @property
    def total(self) -> int:
        """With everything that it has called."""
        return self.own + sum(self.calls.values())


def counted(
    subject: Subject, service: Service, site: Site, load: Load, generator: Generator
) -> str:
    """Folded stacks of some hundred requests, counted in every process that serves them."""
    output = site.scratch / "callgrind"
    wrapped = replace(
        subject,
        # Valgrind knows no io_uring.
        extra=(*subject.extra, "--io=epoll"),
        wrapper=(
            "valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no",
            "--trace-children=yes", f"--callgrind-out-file={output}.%p",
        ),
    )  # fmt: skip
    with serve(wrapped, service, site) as server:
        workers = [pid for pid in tree(server.process.pid) if command_name(pid) == "hurricane-w0"]
        pids = workers or [server.process.pid]
        _control("--instr=on", pids)
        # Switching on takes effect at the next system call of a thread.
        time.sleep(1)
        generator.run(replace(load, slow=0).limited(REQUESTS), server.port, SECONDS_MAX)
        _control("--dump", pids)
        files = [path for pid in pids for path in site.scratch.glob(f"callgrind.{pid}.*")]
    return "\n".join(line for path in files for line in fold(parse(path.read_text())))


def _control(order: str, pids: list[int]) -> None:
    for pid in pids:
        subprocess.run(["callgrind_control", order, str(pid)], check=True, capture_output=True)


def parse(text: str) -> dict[str, Function]:
    """The functions of a file that callgrind wrote."""
    names: dict[str, str] = {}
    functions: defaultdict[str, Function] = defaultdict(Function)
    current, callee = "", None
    for line in text.splitlines():
        if named := re.match(r"(c?fn)=(\(\d+\))(?: (.*))?$", line):
            kind, number, name = named.groups()
            names.setdefault(number, name or number)
            if kind == "fn":
                current = names[number]
            else:
                callee = names[number]
        elif re.match(r"[+\-*\d]\S* ", line):
            cost = int(line.split()[1])
            if callee is None:
                functions[current].own += cost
            else:
                functions[current].calls[callee] += cost
                functions[callee].called = True
                callee = None
    return dict(functions)


def fold(functions: dict[str, Function]) -> Iterator[str]:
    """Lines such as `outer;inner 12`."""
    roots = [name for name, each in functions.items() if not each.called and each.total]
    whole = sum(functions[name].total for name in roots)
    for name in roots:
        yield from _fold(functions, [name], functions[name].total, whole * SHARE_MIN)


def _fold(
    functions: dict[str, Function], stack: list[str], cost: float, least: float
) -> Iterator[str]:
    function = functions[stack[-1]]
    share = cost / max(function.total, 1)
    own = function.own * share
    for name, called in function.calls.items():
        part = called * share
        # A function that calls itself again is not followed twice.
        if part < least or len(stack) >= DEPTH_MAX or name in stack:
            own += part
        else:
            yield from _fold(functions, [*stack, name], part, least)
    if own >= 1:
        yield f"{';'.join(each.replace(';', ':') for each in stack)} {own:.0f}"
