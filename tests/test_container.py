"""The images of ``deploy/`` in a real container runtime, restricted and limited as a pod is."""

import re

import pytest

import containers
import wire
from containers import build, build_again, layers, missing, podman, running, size_bytes
from manifests import metrics_asked_for
from wire import Connection, request

pytestmark = [
    pytest.mark.container,
    pytest.mark.skipif(not containers.is_root(), reason="containers are limited by root only"),
]

LIMITS = ("--cpus=1.5", "--memory=512m", "--user=12345:12345")
MIB = 1 << 20
SECCOMP = containers.CHECKOUT / "deploy" / "seccomp"
# Asks the C library, because Python has a function for it only from 3.12 on.
NEW_USER_NAMESPACE = """
import ctypes, errno
refused = ctypes.CDLL(None, use_errno=True).unshare(0x10000000) == -1
print("refused" if refused and ctypes.get_errno() == errno.EPERM else "allowed")
"""


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    """Fails where they are missing: a skipped test would say that the images are good."""
    if lacking := missing():
        pytest.fail(f"{', '.join(lacking)} missing; install them as .ci/run does")


@pytest.fixture(scope="module")
def bookshop() -> str:
    """The image of the example project."""
    return build("bookshop")


@pytest.fixture(scope="module")
def native() -> str:
    """The image of the service in Rust."""
    return build("native")


def test_the_bookshop_serves_as_any_user_within_its_limits(bookshop: str) -> None:
    with running(bookshop, options=LIMITS) as container:
        container.wait_for("/ready")
        status = container.status()
        assert len(status["workers"]) == 1
        assert "1.5" in status["workers_reason"]
        # The default profile of this runtime does not know io_uring's calls.
        assert status["server"]["engine"] == "epoll"
        assert "ENOSYS" in status["server"]["engine_reason"]
        assert wire.get(container.port, "/").status == 200
        # In a container with limits there is every metric that `deploy/` asks Prometheus for.
        scraped = wire.get(container.probe_port, "/metrics/server").text
        assert metrics_asked_for() <= set(re.findall(r"^(hurricane_\w+)", scraped, re.MULTILINE))
        assert container.execute("id", "-u") == "12345"
        container.execute("hurricane", "healthcheck", f"--probe-port={container.probe_port}")
        container.signal("SIGTERM")
        assert container.wait() == 0, container.log()


def test_our_seccomp_profile_lets_it_have_a_ring(bookshop: str) -> None:
    profile = f"--security-opt=seccomp={SECCOMP / 'io-uring.json'}"
    with running(bookshop, ["--io=io-uring"], [*LIMITS, profile]) as container:
        container.wait_for("/ready")
        assert container.status()["server"]["engine"] == "io-uring"
        assert wire.get(container.port, "/").status == 200
        container.signal("SIGTERM")
        assert container.wait() == 0, container.log()


def test_our_seccomp_profile_refuses_what_the_default_refuses(bookshop: str) -> None:
    profile = f"--security-opt=seccomp={SECCOMP / 'io-uring.json'}"
    with running(bookshop, options=[*LIMITS, profile]) as container:
        container.wait_for("/ready")
        assert container.execute("python", "-c", NEW_USER_NAMESPACE) == "refused"


def test_a_stop_of_the_container_answers_what_runs(bookshop: str) -> None:
    with running(bookshop, options=LIMITS) as container:
        container.wait_for("/ready")
        with Connection(container.port) as connection:
            # Half a request: it is accepted, and ends after the signal.
            head = request("GET", "/api/books/")
            connection.send(head[:10])
            container.signal("SIGTERM")
            connection.send(head[10:])
            answer = connection.response()
        assert (answer.status, answer.header("Connection")) == (200, "close")
        assert container.wait() == 0, container.log()


def test_the_service_in_rust_needs_nothing_else_in_its_image(native: str) -> None:
    with running(native, options=LIMITS) as container:
        container.wait_for("/ready")
        assert wire.get(container.port, "/").body == b"hello\n"
        container.signal("SIGTERM")
        assert container.wait() == 0, container.log()
    assert size_bytes(native) < 16 * MIB


def test_an_image_is_small_and_says_how_it_is_run(bookshop: str) -> None:
    python, _ = containers.base_images()
    assert size_bytes(bookshop) - size_bytes(f"localhost/{python}") < 96 * MIB
    config = podman("image", "inspect", "--format", "{{json .Config}}", bookshop)
    assert '"User":"10001:10001"' in config
    assert '"StopSignal":"SIGTERM"' in config
    assert "Healthcheck" not in config


@pytest.mark.slow
@pytest.mark.parametrize("target", ["bookshop", "native"])
def test_an_image_that_is_built_again_has_the_same_layers(target: str) -> None:
    assert layers(build_again(target)) == layers(build(target))
