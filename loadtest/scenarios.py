"""The table of scenarios: what is served, what is asked, and whom we are compared with."""

from dataclasses import dataclass, field
from enum import Enum

from generator import Load
from sized import SIZES


class Application(Enum):
    """What a server is given to serve; the value is for those who read it."""

    CALLABLE = "a WSGI (or ASGI) callable of three lines"
    DJANGO = "Django without middleware"
    DJANGO_DEFAULT = "Django with the seven middleware of a new project"
    DJANGO_WHITENOISE = "Django with WhiteNoise as its only middleware"
    FILES = "files, by the server itself"
    NATIVE = "a function in the server's own language"

    @property
    def settings(self) -> str | None:
        """The settings module of the Django project."""
        return {
            Application.DJANGO: "measured.bare",
            Application.FILES: "measured.files",
            Application.DJANGO_DEFAULT: "measured.default",
            Application.DJANGO_WHITENOISE: "measured.whitenoise",
        }.get(self)


class Metric(Enum):
    """What decides a comparison: less is better in each."""

    CPU = "CPU µs per request"
    P99 = "p99"


@dataclass(frozen=True)
class Scenario:
    """One line of the comparison."""

    name: str
    title: str
    application: Application
    load: Load = field(default_factory=Load)
    rivals: tuple[str, ...] = ("granian", "gunicorn", "uvicorn", "uwsgi", "bjoern")
    metric: Metric = Metric.CPU
    # Threads for the application; None leaves what each server's documentation advises.
    threads: int | None = None
    # How long a measurement may take at most, where the load ends by itself.
    seconds_max: float | None = None
    # Bytes of every body, where all answer the same.
    body_bytes: int | None = None
    # A second load, on which we are judged while the first keeps the server busy. On our probe
    # port; rivals have none and are asked for a page of their own.
    probe: Load | None = None
    # What we aim at: ratio to a rival.
    goals: tuple[tuple[str, float], ...] = ()
    # Likewise: our p99 in milliseconds.
    p99_ms_goal: float | None = None
    note: str = ""


WSGI = ("granian", "gunicorn", "uvicorn", "uwsgi", "bjoern")
DJANGO = (*WSGI, "django-hurricane")
FILES = ("nginx", "granian", "django-hurricane")
NATIVE = ("hyper", "actix", "ntex", "axum", "ring", "nginx")

ONE_THREAD = "bjoern is left out: it has one thread, so it answers 20 requests a second."

SCENARIOS = (
    Scenario(
        "bare", "WSGI hello", Application.CALLABLE, body_bytes=13,
        goals=(("granian", 0.6),),
    ),
    Scenario(
        "django", "Django hello, no middleware", Application.DJANGO, rivals=DJANGO, body_bytes=13,
        goals=(("granian", 0.35),),
    ),
    Scenario(
        "django-default", "Django hello, default middleware", Application.DJANGO_DEFAULT,
        rivals=DJANGO, body_bytes=13, goals=(("granian", 0.6), ("django-hurricane", 0.2)),
    ),
    Scenario(
        "open", "Django hello at 1,000 requests a second (open loop)", Application.DJANGO_DEFAULT,
        Load(rate=1000), rivals=("granian", "gunicorn", "uwsgi", "bjoern"), body_bytes=13,
    ),
    Scenario(
        "json", "JSON, 1 KiB", Application.DJANGO_DEFAULT, Load("/json"),
        rivals=("granian", "gunicorn", "uwsgi", "bjoern"), body_bytes=1024,
    ),
    Scenario(
        "sqlite", "one row from SQLite", Application.DJANGO_DEFAULT, Load("/row"),
        rivals=("granian", "gunicorn", "uwsgi", "bjoern"), body_bytes=50,
    ),
    Scenario(
        "template", "template page, 20 KiB", Application.DJANGO_DEFAULT, Load("/page"),
        rivals=("granian", "gunicorn", "uwsgi", "bjoern"), body_bytes=20455,
    ),
    Scenario(
        "upload", "upload, 64 KiB", Application.DJANGO_DEFAULT, Load("/upload", body=64 << 10),
        rivals=("granian", "gunicorn", "uwsgi", "bjoern"), body_bytes=10,
    ),
    Scenario(
        "blocking-64", "view that waits 50 ms, 64 connections", Application.DJANGO_DEFAULT,
        Load("/wait"), rivals=("granian", "gunicorn", "uwsgi"), threads=64, body_bytes=6,
        metric=Metric.P99, note=f"64 threads each. {ONE_THREAD}",
    ),
    Scenario(
        "blocking-512", "view that waits 50 ms, 512 connections", Application.DJANGO_DEFAULT,
        Load("/wait", connections=512), rivals=("granian", "gunicorn", "uwsgi"), threads=64,
        body_bytes=6, metric=Metric.P99, note=f"64 threads each. {ONE_THREAD}",
    ),
    Scenario(
        "streaming", "streamed response, 32 pieces of 4 KiB", Application.DJANGO_DEFAULT,
        Load("/stream"), rivals=("granian", "gunicorn", "uwsgi", "bjoern"), body_bytes=128 << 10,
    ),
    Scenario(
        "static", "static file, 4 KiB", Application.DJANGO_WHITENOISE, Load("/static/4k.txt"),
        rivals=("granian", "gunicorn", "uwsgi", "bjoern", "nginx"), body_bytes=4096,
        note="All but nginx serve it through WhiteNoise. What servers do themselves: files-4k.",
    ),
    *(
        Scenario(
            f"files-{size}{'-512' if connections == 512 else ''}",
            f"file of {size}, {connections} connections",
            Application.FILES,
            Load(f"/static/{size}.txt", connections=connections),
            rivals=FILES,
            body_bytes=length,
            goals=(("nginx", 1.0),),
        )
        for size, length in SIZES.items()
        for connections in (64, 512)
        if (size, connections) != ("100m", 512)
    ),
    Scenario(
        "files-100m-512", "file of 100m, 512 connections", Application.FILES,
        Load("/static/100m.txt", connections=512, requests=512), rivals=("nginx",),
        body_bytes=SIZES["100m"], goals=(("nginx", 1.0),), seconds_max=40,
        note="One request for each connection. granian would need half a minute for that, and "
        "Django-Hurricane 50 GiB of memory.",
    ),
    Scenario(
        "files-slow", "file of 1m, 1,000 slow readers", Application.FILES,
        Load("/static/1m.txt", connections=1000, read_rate=512 << 10), rivals=FILES,
        body_bytes=SIZES["1m"], goals=(("nginx", 1.0),),
        note="Each connection reads 512 KiB a second, from a kernel that takes in 64 KiB for it.",
    ),
    Scenario(
        "churn", "WSGI hello, a connection per request", Application.CALLABLE, Load(churn=True),
        body_bytes=13,
    ),
    Scenario(
        "slow", "WSGI hello beside 64 slow uploads", Application.CALLABLE,
        Load(connections=16, slow=64), rivals=("granian", "gunicorn", "uwsgi"), body_bytes=13,
        metric=Metric.P99,
        note="64 more clients take a second each to say their request.",
    ),
    Scenario(
        "native", "native hello", Application.NATIVE, rivals=NATIVE, body_bytes=6,
        goals=(("hyper", 0.75), ("actix", 0.75), ("ring", 1.1)),
    ),
    Scenario(
        "native-pipelined", "native hello, 16 requests at a time", Application.NATIVE,
        Load(pipeline=16), rivals=NATIVE, body_bytes=6,
    ),
    Scenario(
        "native-churn", "native hello, a connection per request", Application.NATIVE,
        Load(churn=True), rivals=NATIVE, body_bytes=6,
    ),
    Scenario(
        "probes", "probes while every worker is at 100 %", Application.DJANGO_DEFAULT,
        rivals=("granian", "gunicorn", "uwsgi"), metric=Metric.P99, p99_ms_goal=5,
        probe=Load(rate=200, connections=4, churn=True),
        note="200 probes a second, a connection each, while 64 connections ask for the hello page "
        "as fast as they are answered. Ours go to /ready, those of the others to the same hello "
        "page: they have no probe port.",
    ),
)  # fmt: skip

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
