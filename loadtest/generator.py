"""A load, and what the load generator says of it."""

import json
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Load:
    """What is asked of a server; without a rate each connection asks when it was answered."""

    path: str = "/"
    connections: int = 64
    rate: float | None = None
    pipeline: int = 1
    churn: bool = False
    body: int = 0
    slow: int = 0
    requests: int | None = None
    engine: str | None = None
    # Bytes a second that each connection reads.
    read_rate: int | None = None

    def limited(self, requests: int) -> "Load":
        """The same, ended after so many requests."""
        return replace(self, requests=requests)

    def options(self) -> list[str]:
        """As the generator takes them."""
        options = [f"--path={self.path}", f"--connections={self.connections}"]
        if self.rate is not None:
            options.append(f"--rate={self.rate}")
        if self.pipeline > 1:
            options.append(f"--pipeline={self.pipeline}")
        if self.churn:
            options.append("--churn")
        if self.body:
            options.append(f"--body={self.body}")
        if self.slow:
            options.append(f"--slow={self.slow}")
        if self.read_rate is not None:
            options.append(f"--read-rate={self.read_rate}")
        if self.engine:
            options.append(f"--engine={self.engine}")
        if self.requests is not None:
            options.append(f"--requests={self.requests}")
        return options


@dataclass(frozen=True)
class Latency:
    """Microseconds, corrected for coordinated omission."""

    p50: float
    p99: float
    p999: float


@dataclass(frozen=True)
class Outcome:
    """What came back."""

    requests: int
    errors: int
    first_error: str | None
    unsent: int
    body_bytes: int
    seconds: float
    client_cpu_us: int
    latency: Latency
    slow_answered: int
    slow_failed: int

    @classmethod
    def parse(cls, text: str | bytes) -> "Outcome":
        """From the generator's JSON."""
        said: dict[str, Any] = json.loads(text)
        quantiles = {name: said["latency_us"][name] for name in ("p50", "p99", "p999")}
        slow = said["slow"] or {"answered": 0, "failed": 0}
        names = ("requests", "errors", "first_error", "unsent", "body_bytes", "seconds")
        return cls(
            **{name: said[name] for name in names},
            client_cpu_us=said["client_cpu_us"],
            latency=Latency(**quantiles),
            slow_answered=slow["answered"],
            slow_failed=slow["failed"],
        )


class LoadError(Exception):
    """The generator gave up: the server cannot be reached, or keeps failing."""


@dataclass(frozen=True)
class Generator:
    """The executable, and the CPUs that it may use."""

    executable: Path
    cpus: tuple[int, ...]

    def start(self, load: Load, port: int, seconds: float) -> "subprocess.Popen[bytes]":
        """A run under way; its output is the outcome."""
        return subprocess.Popen(
            [
                "taskset", "--cpu-list", ",".join(map(str, self.cpus)), str(self.executable),
                f"--address=127.0.0.1:{port}", f"--seconds={seconds}", *load.options(),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )  # fmt: skip

    def run(self, load: Load, port: int, seconds: float) -> Outcome:
        """A run to its end."""
        return conclude(self.start(load, port, seconds))


def conclude(run: "subprocess.Popen[bytes]") -> Outcome:
    """Waits for a run; fails when it has failed."""
    output, _ = run.communicate()
    if run.returncode:
        raise LoadError(f"the load generator ended with {run.returncode}")
    return Outcome.parse(output)
