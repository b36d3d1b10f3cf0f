"""Images of ``deploy/Dockerfile`` and containers of them, by podman.

No image registry is asked: the two images that the Dockerfile begins with are made of a Debian by
debootstrap, with Debian's Python in one and the toolchain of this machine in the other.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

import kubelet
import wire
from condition import wait_until
from serving import free_port

CHECKOUT = Path(__file__).resolve().parent.parent
DOCKERFILE = CHECKOUT / "deploy" / "Dockerfile"
# The cgroup manager of systemd is not there in a container, and crun refuses hybrid hierarchies.
PODMAN = ("podman", "--runtime=runc", "--cgroup-manager=cgroupfs", "--events-backend=file")
TOOLS = ("podman", "buildah", "runc", "debootstrap")
PACKAGES = ("python3", "python3-venv", "ca-certificates", "gcc", "libc6-dev")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
START_SECONDS = 30.0
# Podman's own defaults may be above what this machine allows, which only root may raise.
ULIMITS = ("--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096")


def missing() -> list[str]:
    """What has to be installed first."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def podman(*words: str, stdin: Any = None, deadline: float = 60.0) -> str:
    """Runs podman; returns what it printed."""
    ended = subprocess.run(
        [*PODMAN, *words],
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=deadline,
        check=False,
    )
    assert ended.returncode == 0, f"podman {words[0]} failed:\n{ended.stdout}{ended.stderr}"
    return ended.stdout.strip()


def base_images(dockerfile: Path = DOCKERFILE) -> tuple[str, str]:
    """The names of the images with Python and with Rust that the Dockerfile expects."""
    named = dict(
        line.removeprefix("ARG ").split("=", 1)
        for line in dockerfile.read_text().splitlines()
        if line.startswith("ARG ") and "_IMAGE=" in line
    )
    return named["PYTHON_IMAGE"], named["RUST_IMAGE"]


def make_base_images() -> None:
    """Makes those that are not there yet."""
    python, rust = base_images()
    if not exists(python):
        with TemporaryDirectory() as directory:
            make_debian(Path(directory), python)
    if not exists(rust):
        with TemporaryDirectory() as directory:
            make_rust(Path(directory), python, rust)


def exists(image: str) -> bool:
    """Whether podman has it."""
    words = [*PODMAN, "image", "exists", f"localhost/{image}"]
    return subprocess.run(words, check=False).returncode == 0


def make_debian(directory: Path, image: str) -> None:
    """A Debian as small as it can be, with Python and what installs packages."""
    sources, root = Path("/etc/apt/sources.list.d/debian.sources"), directory / "root"
    suite = field(Path("/etc/os-release"), "VERSION_CODENAME=")
    include, address = f"--include={','.join(PACKAGES)}", field(sources, "URIs: ")
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", include, suite, str(root), address],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert made.returncode == 0, made.stdout[-2000:]
    # Packages are fetched in the image as they are here.
    (root / "etc/apt/sources.list").unlink(missing_ok=True)
    shutil.copy(sources, root / "etc/apt/sources.list.d")
    shutil.copytree("/etc/apt/apt.conf.d", root / "etc/apt/apt.conf.d", dirs_exist_ok=True)
    shutil.copy(CERTIFICATES, root / CERTIFICATES.relative_to("/"))
    (root / "usr/bin/python").symlink_to("python3")
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as tar:
        change = ["--change", f"ENV PIP_CERT={CERTIFICATES}"]
        podman("import", *change, "-", f"localhost/{image}", stdin=tar.stdout, deadline=300)


def field(path: Path, name: str) -> str:
    """The first value of that name in a file."""
    lines = path.read_text().splitlines()
    return next(line.removeprefix(name) for line in lines if line.startswith(name))


def make_rust(directory: Path, python: str, image: str) -> None:
    """Rustup's commands; the toolchain itself is mounted while an image is built."""
    cargo = Path(shutil.which("cargo") or "").resolve().parent
    shutil.copytree(cargo, directory / "bin")
    (directory / "Dockerfile").write_text(
        f"FROM localhost/{python}\n"
        "COPY bin /usr/local/cargo/bin\n"
        "RUN mkdir -p /usr/local/rustup\n"
        "ENV CARGO_HOME=/usr/local/cargo RUSTUP_HOME=/usr/local/rustup"
        " PATH=/usr/local/cargo/bin:/usr/local/bin:/usr/bin:/bin\n"
    )
    podman("build", "--network=host", "--tag", f"localhost/{image}", str(directory))


def build(target: str, sources: Path = CHECKOUT, options: Sequence[str] = ()) -> str:
    """Builds a target of the Dockerfile; returns the image's name."""
    make_base_images()
    image = f"localhost/hurricane-test-{target}{'' if sources == CHECKOUT else '-again'}"
    facts = dict(line.split(": ", 1) for line in rustc("-vV").splitlines() if ": " in line)
    toolchain = f"/usr/local/rustup/toolchains/{facts['release']}-{facts['host']}"
    podman(
        "build",
        f"--file={DOCKERFILE}",
        f"--target={target}",
        f"--tag={image}",
        "--network=host",
        "--pull=never",
        "--build-arg=SOURCE_DATE_EPOCH=0",
        "--timestamp=0",
        f"--volume={rustc('--print', 'sysroot')}:{toolchain}:ro",
        *options,
        str(sources),
        deadline=1800,
    )
    return image


def build_again(target: str) -> str:
    """The same, of nothing that was built before, of files that somebody else has checked out."""
    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        sources = Path(directory) / "sources"
        ignored = shutil.ignore_patterns(".git", "target", "__pycache__", "*.so")
        shutil.copytree(CHECKOUT, sources, ignore=ignored, copy_function=shutil.copy)
        for path in sources.rglob("*"):
            path.chmod(path.stat().st_mode & 0o700)
        # Here are the directories that are mounted as caches.
        patch.setenv("TMPDIR", directory)
        return build(target, sources, ["--no-cache"])


def rustc(*words: str) -> str:
    """What the compiler of this checkout says."""
    asked = subprocess.run(
        ["rustc", *words], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    return asked.stdout.strip()


def layers(image: str) -> str:
    """The hashes of an image's layers. Beside them it says when cached steps were taken."""
    return podman("image", "inspect", "--format", "{{.RootFS.Layers}}", image)


def size_bytes(image: str) -> int:
    """The sum of an image's layers."""
    return int(podman("image", "inspect", "--format", "{{.Size}}", image))


class Container:
    """A container that runs a server on this machine's loopback interface."""

    def __init__(self, image: str, flags: Sequence[str], options: Sequence[str]) -> None:
        self.port, self.probe_port = free_port(), free_port()
        ours = ["--host=127.0.0.1", f"--port={self.port}", f"--probe-port={self.probe_port}"]
        words = ["run", "--detach", "--network=host", "--pull=never", *ULIMITS, *options, image]
        self.id = podman(*words, *ours, *flags)

    def log(self) -> str:
        """Everything that the server has written, on either stream."""
        ended = subprocess.run(
            [*PODMAN, "logs", self.id], capture_output=True, text=True, check=False, timeout=30
        )
        return ended.stdout + ended.stderr

    def wait_for(self, path: str, status: int = 200) -> wire.Response:
        """Asks the probe until it answers so."""

        def answer() -> wire.Response | None:
            state = podman("inspect", "--format", "{{.State.Status}}", self.id)
            assert state == "running", f"the container is {state}:\n{self.log()}"
            try:
                response = kubelet.probe(self.probe_port, path).response
            except (OSError, wire.Closed):
                return None
            return response if response.status == status else None

        found = wait_until(answer, START_SECONDS, f"{status} from {path}")
        assert found is not None
        return found

    def status(self) -> dict[str, Any]:
        """``/status``."""
        found: dict[str, Any] = wire.get(self.probe_port, "/status").json()
        return found

    def execute(self, *words: str) -> str:
        """Runs a command inside."""
        return podman("exec", self.id, *words)

    def signal(self, name: str) -> None:
        """Sends the first process a signal."""
        podman("kill", f"--signal={name}", self.id)

    def wait(self) -> int:
        """The exit code of the first process."""
        return int(podman("wait", self.id, deadline=60))


@contextmanager
def running(
    image: str, flags: Sequence[str] = (), options: Sequence[str] = ()
) -> Iterator[Container]:
    """Runs the image as a restricted pod does, and removes the container."""
    # Nothing but volumes can be written, nobody is root, nothing may be gained.
    restricted = [
        "--read-only",
        "--read-only-tmpfs=false",
        "--tmpfs=/tmp:mode=1777",
        "--tmpfs=/data:mode=1777",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
    ]
    container = Container(image, flags, [*restricted, *options])
    try:
        yield container
    finally:
        podman("rm", "--force", "--time=0", container.id)


def is_root() -> bool:
    """Whether containers can be limited here."""
    return os.geteuid() == 0
