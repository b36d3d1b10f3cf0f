"""Test cases whose tests run against a process that is started for each of them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar, overload

from django.test import SimpleTestCase

from hurricane.testing.actors import HTTPClient
from hurricane.testing.drivers import (
    HurricaneAMQPDriver,
    HurricaneServerDriver,
    HurricaneWebhookServerDriver,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Test = Callable[[Any], None]
    Cycle = Callable[[Any, dict[str, Any], Test], None]

T = TypeVar("T", bound="HurricanBaseTest")


def around(cycle: Cycle, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
    """A decorator that runs tests inside ``cycle``; of ``args`` the one may be the test itself."""

    def decorate(function: Test) -> Test:
        @functools.wraps(function)
        def wrapper(self: Any) -> None:  # noqa: ANN401 - a test case
            cycle(self, kwargs, function)

        return wrapper

    return decorate(args[0]) if len(args) == 1 and callable(args[0]) else decorate


class HurricanBaseTest(SimpleTestCase):
    """Makes the driver that its class names, once for all its tests."""

    driver: Any = None

    @property
    def probe_client(self) -> HTTPClient:
        """A new connection to the probes."""
        return HTTPClient(*self.driver.get_server_host_port(probe_port=True))

    @classmethod
    def setUpClass(cls) -> None:
        """Makes the driver; fails if a port that it needs is busy."""
        super().setUpClass()
        cls.driver = cls.driver()

    def _retrieve_env(self, kwargs: dict[str, Any]) -> dict[str, str]:
        env: dict[str, str] = kwargs.get("env") or {}
        return env


class HurricanServerTest(HurricanBaseTest):
    """Tests of a project that is served."""

    driver: Any = HurricaneServerDriver

    @property
    def app_client(self) -> HTTPClient:
        """A new connection to the application."""
        return HTTPClient(*self.driver.get_server_host_port())

    @classmethod
    def tearDownClass(cls) -> None:
        """Ends what a test has left."""
        cls.driver.stop_server()
        super().tearDownClass()

    @overload
    @staticmethod
    def cycle_server(function: Callable[[T], None], /) -> Callable[[T], None]: ...

    @overload
    @staticmethod
    def cycle_server(
        *,
        args: Sequence[str] | None = None,
        coverage: bool = True,
        env: dict[str, str] | None = None,
    ) -> Callable[[Callable[[T], None]], Callable[[T], None]]: ...

    @staticmethod
    def cycle_server(*args: Any, **kwargs: Any) -> Any:
        """Serves for one test: ``args`` of the command line, ``env``, and whether ``coverage``."""
        return around(serve, args, kwargs)


def serve(test: Any, kwargs: dict[str, Any], function: Test) -> None:  # noqa: ANN401 - a test case
    """Runs a test while its server runs."""
    env = test._retrieve_env(kwargs)  # noqa: SLF001 - projects override it
    try:
        test.driver.start_server(kwargs.get("args"), kwargs.get("coverage", True), env)
        function(test)
    finally:
        test.driver.stop_server()


class HurricaneWebhookServerTest(HurricanServerTest):
    """Tests for which webhooks are received."""

    driver: Any = HurricaneWebhookServerDriver

    @property
    def probe(self) -> HTTPClient:
        """A new connection to the receiver."""
        return self.app_client


class HurricaneAMQPTest(HurricanBaseTest):
    """Tests of a consumer with a broker in a container."""

    driver: Any = HurricaneAMQPDriver

    @classmethod
    def tearDownClass(cls) -> None:
        """Ends what a test has left."""
        cls.driver.stop_consumer()
        cls.driver.stop_amqp()
        super().tearDownClass()

    @overload
    @staticmethod
    def cycle_consumer(function: Callable[[T], None], /) -> Callable[[T], None]: ...

    @overload
    @staticmethod
    def cycle_consumer(
        *,
        args: Sequence[str] | None = None,
        coverage: bool = True,
        env: dict[str, str] | None = None,
    ) -> Callable[[Callable[[T], None]], Callable[[T], None]]: ...

    @staticmethod
    def cycle_consumer(*args: Any, **kwargs: Any) -> Any:
        """Consumes for one test, with ``args``, ``env`` and ``coverage`` as ``cycle_server``.

        The broker's host and port are added to ``args``, unless the last of them is
        ``--no_host_port``, which is taken off.
        """
        return around(consume, args, kwargs)


def consume(test: Any, kwargs: dict[str, Any], function: Test) -> None:  # noqa: ANN401 - as above
    """Runs a test while its broker and its consumer run."""
    env = test._retrieve_env(kwargs)  # noqa: SLF001 - projects override it
    words = list(kwargs.get("args") or [])
    try:
        test.driver.start_amqp()
        if "--no_host_port" in words:
            words.pop()
        else:
            host, port = test.driver.get_amqp_host_port()
            words += ["--amqp-port", str(port), "--amqp-host", host]
        test.driver.start_consumer(words, kwargs.get("coverage", True), env)
        function(test)
    finally:
        test.driver.stop_consumer()
        test.driver.stop_amqp()
