"""The table of servers: how each is started with its best documented settings."""

import os
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scenarios import Application
from sized import directory

APPLICATIONS = Path(__file__).parent / "applications"

# Threads for views that hardly wait, where a server's documentation leaves the choice to us.
THREADS = 8


@dataclass(frozen=True)
class Start:
    """What a server is to serve, and where."""

    application: Application
    port: int
    probe_port: int
    # A directory for what a server wants to write.
    scratch: Path
    threads: int | None = None
    workers: int = 1

    @property
    def wsgi(self) -> str:
        """The WSGI application, as most servers take it."""
        is_callable = self.application is Application.CALLABLE
        return "bare:application" if is_callable else "measured.wsgi:application"

    @property
    def asgi(self) -> str:
        """Likewise for ASGI."""
        is_callable = self.application is Application.CALLABLE
        return "bare:asgi" if is_callable else "measured.asgi:application"


@dataclass(frozen=True)
class Kind:
    """A server: its executable, its command line, and why that is the best that it has."""

    executable: str
    options: Callable[[Start], list[str]]
    why: str = ""
    # Where its version is read: a Python distribution, a crate of loadtest/native, or a command.
    distribution: str = ""
    crate: str = ""


def _hurricane(start: Start) -> list[str]:
    common = [f"--port={start.port}", f"--probe-port={start.probe_port}", "--host=127.0.0.1",
              f"--workers={start.workers}"]  # fmt: skip
    if start.threads:
        common.append(f"--threads={start.threads}")
    if start.application is Application.NATIVE:
        return common
    if start.application is Application.CALLABLE:
        return ["-m", "hurricane", "serve", *common, start.wsgi]
    if start.application is Application.FILES:
        mount = f"--static-path=/static={directory() / 'static'}"
        return ["-m", "hurricane", "serve", *common, mount, "--access-log=off", start.wsgi]
    # 64 busy connections are no reason to be unready here.
    return ["django_command.py", "serve", *common, "--req-queue-len=100000"]


def _granian(start: Start) -> list[str]:
    static = []
    if start.application is Application.FILES:
        static = ["--static-path-route=/static", f"--static-path-mount={directory() / 'static'}"]
    return [*static, "--interface=wsgi", "--host=127.0.0.1", f"--port={start.port}",
            f"--workers={start.workers}", f"--blocking-threads={start.threads or THREADS}",
            "--runtime-mode=mt", "--runtime-threads=1", "--http=1", "--no-ws",
            start.wsgi]  # fmt: skip


def _gunicorn(start: Start) -> list[str]:
    return ["--worker-class=gthread", f"--workers={start.workers}",
            f"--threads={start.threads or THREADS}", "--keep-alive=75",
            "--worker-connections=2048", "--worker-tmp-dir=/dev/shm",
            f"--bind=127.0.0.1:{start.port}", start.wsgi]  # fmt: skip


def _uvicorn(start: Start) -> list[str]:
    return ["--loop=uvloop", "--http=httptools", "--lifespan=off", "--no-access-log",
            "--no-proxy-headers", "--host=127.0.0.1", f"--port={start.port}",
            f"--workers={start.workers}", start.asgi]  # fmt: skip


def _uwsgi(start: Start) -> list[str]:
    return [f"--http=127.0.0.1:{start.port}", "--http-keepalive=75", "--http-processes=1",
            "--tcp-nodelay", "--master", f"--processes={start.workers}", "--enable-threads",
            f"--threads={start.threads or THREADS}", "--listen=1024", "--single-interpreter",
            "--need-app", "--die-on-term", "--disable-logging",
            f"--module={start.wsgi}"]  # fmt: skip


def _bjoern(start: Start) -> list[str]:
    return [str(Path(__file__).parent / "serve_bjoern.py"), start.wsgi, str(start.port)]


def _django_hurricane(start: Start) -> list[str]:
    return ["django_command.py", "serve", f"--port={start.port}",
            f"--probe-port={start.probe_port}", "--no-metrics",
            *(["--static"] if start.application is Application.FILES else [])]  # fmt: skip


def _nginx(start: Start) -> list[str]:
    """Writes the configuration and names it."""
    is_files = start.application is Application.FILES
    root = directory() if is_files else APPLICATIONS / "measured"
    text = NGINX.format(port=start.port, root=root, scratch=start.scratch)
    configuration = start.scratch / "nginx.conf"
    configuration.write_text(text)
    return [
        "-c",
        str(configuration),
        "-p",
        str(start.scratch),
        "-e",
        str(start.scratch / "nginx.log"),
    ]


def _native(start: Start) -> list[str]:
    return [str(start.port)]


NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {scratch}/nginx.pid;
error_log {scratch}/nginx.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    open_file_cache max=100 inactive=60s;
    default_type text/plain;
    client_body_temp_path {scratch}/nginx-body;
    proxy_temp_path {scratch}/nginx-proxy;
    fastcgi_temp_path {scratch}/nginx-fastcgi;
    uwsgi_temp_path {scratch}/nginx-uwsgi;
    scgi_temp_path {scratch}/nginx-scgi;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location = / {{ return 200 "hello\\n"; }}
        location /static/ {{ root {root}; }}
    }}
}}
"""

KINDS = {
    "hurricane": Kind("python", _hurricane, distribution="django-hurricane"),
    "granian": Kind(
        "granian", _granian, distribution="granian",
        why="The documentation leaves threads of the runtime at 1 and warns of a backpressure "
        "below the number of kept connections. The runtime `mt` is its own choice for WSGI and "
        "cost 0 to 4 % less than `st`. HTTP/2 and upgrades that nobody asks for cost a check per "
        "request.",
    ),
    "gunicorn": Kind(
        "gunicorn", _gunicorn, distribution="gunicorn",
        why="Threads, because one process each would be another comparison; heartbeat file in "
        "memory, as its FAQ advises.",
    ),
    "uvicorn": Kind(
        "uvicorn", _uvicorn, distribution="uvicorn",
        why="uvloop and httptools, as `uvicorn[standard]` installs them. ASGI: it serves no WSGI.",
    ),
    "uwsgi": Kind(
        "uwsgi", _uwsgi, distribution="pyuwsgi",
        why="Its HTTP router keeps connections; its own HTTP socket would take a thread for each, "
        "and leaves responses without a length open. `--http-auto-chunked` costs 40 ms a response "
        "(Nagle), so such responses end with their connection.",
    ),
    "bjoern": Kind(
        "python", _bjoern, distribution="bjoern",
        why="It has no settings: one thread. TCP_NODELAY is ours.",
    ),
    "django-hurricane": Kind(
        "python", _django_hurricane, distribution="django-hurricane",
        why="Its default number of threads; metrics off, as ours has none.",
    ),
    "nginx": Kind(
        "nginx", _nginx,
        why="sendfile and a cache of open files; `return` for the native scenarios.",
    ),
    "hyper": Kind("hyper", _native, crate="hyper"),
    "actix": Kind("actix", _native, crate="actix-web"),
    "ntex": Kind("ntex", _native, crate="ntex", why="On its io_uring runtime."),
    "axum": Kind("axum", _native, crate="axum"),
    "ring": Kind(
        "ring", _native, crate="io-uring",
        why="No server: the least that a loop on io_uring can be.",
    ),
}  # fmt: skip

NATIVE_KINDS = ("hyper", "actix", "ntex", "axum", "ring")


@dataclass(frozen=True)
class Places:
    """Where executables are."""

    # The environment of Hurricane and the rivals in Python.
    scripts: Path = Path(sys.executable).parent
    # That of Django-Hurricane, which has our name.
    legacy: Path | None = None
    # Release builds of loadtest/native, and of our own native example.
    native: Path | None = None
    example: Path | None = None

    def executable(self, kind: str, application: Application) -> Path | None:
        """The executable of a server; none where it is not installed."""
        name = KINDS[kind].executable
        if kind == "nginx":
            found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
            return Path(found) if found else None
        if kind == "hurricane" and application is Application.NATIVE:
            return _existing(self.example)
        if kind == "django-hurricane":
            return _existing(self.legacy and self.legacy / name)
        if kind in NATIVE_KINDS:
            return _existing(self.native and self.native / name)
        return _existing(self.scripts / name)


@dataclass(frozen=True)
class Subject:
    """A server to measure: which one, whose executable, and what is added to its command line."""

    kind: str
    scripts: Path | None = None
    extra: tuple[str, ...] = ()
    label: str = ""
    # What runs the command, such as a profiler.
    wrapper: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind}: the servers are {', '.join(KINDS)}")

    @classmethod
    def parse(cls, text: str) -> "Subject":
        """From `KIND`, `KIND@BIN_DIRECTORY`, each with options behind, as on a command line."""
        name, *extra = text.split()
        kind, _, directory = name.partition("@")
        scripts = Path(directory).absolute() if directory else None
        return cls(kind, scripts, tuple(extra), text)

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.label or self.kind

    def command(self, places: Places, start: Start) -> list[str] | None:
        """The command line; none where the server is not installed."""
        kind = KINDS[self.kind]
        executable = places.executable(self.kind, start.application)
        if self.scripts:
            executable = _existing(self.scripts / kind.executable)
        if executable is None:
            return None
        options = kind.options(start)
        # The application stands last on the command lines that name it.
        at = len(options) - 1 if options and ":application" in options[-1] else len(options)
        options[at:at] = self.extra
        return [*self.wrapper, str(executable), *options]


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _existing(path: Path | None) -> Path | None:
    return path if path and path.is_file() else None
