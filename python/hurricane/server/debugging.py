"""Debuggers that attach to a worker, or that it connects to.

The server calls this in its one worker before the threads that run requests start. None of it ends
a server: what cannot be had is a warning.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from hurricane.server.exceptions import IncompatibleOptions
from hurricane.server.loggers import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# The exit code of flags that are wrong.
USAGE = 2
# A worker that has just died may still have the port for a moment.
LISTEN_SECONDS_MAX = 3.0
LISTEN_PAUSE_SECONDS = 0.1
CONNECT_SECONDS_MAX = 5.0

# What shows the calling thread to each debugger that was set up in this process.
joins: list[Callable[[], None]] = []


def setup_debugging(options: Mapping[str, Any]) -> None:
    """Sets up what the options ask for; refuses what does not go together."""
    if options["autoreload"] and (options["pycharm_host"] or options["debugger"]):
        raise IncompatibleOptions(
            "--autoreload and a debugger do not go together, because a reload would end the "
            "process that is debugged; leave one of them out",
            returncode=USAGE,
        )
    setup_debugpy(options)
    setup_pycharm(options)


def setup_debugpy(options: Mapping[str, Any]) -> None:
    """Awaits debuggers, if ``debugger`` is set. It does not wait for one."""
    if not options["debugger"]:
        return
    try:
        import debugpy
    except ImportError:
        logger.warning(
            "--debugger is ignored: there is no module debugpy; "
            "run pip install 'django-hurricane[debug]'"
        )
        return
    host, port = options.get("debugger_host", "127.0.0.1"), options["debugger_port"]
    try:
        patiently(lambda: debugpy.listen((host, port)))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - as the debugger likes
        logger.warning("Could not listen for debug clients at port %s: %s", port, error)
        return
    joins.append(debugpy.debug_this_thread)
    logger.info("Listening for debug clients at port %s", port)


def setup_pycharm(options: Mapping[str, Any]) -> None:
    """Connects to PyCharm's debug server, if ``pycharm_host`` and ``pycharm_port`` are set."""
    if not options["pycharm_host"]:
        return
    try:
        import pydevd_pycharm
    except ImportError:
        logger.warning(
            "--pycharm-host is ignored: there is no module pydevd_pycharm; "
            "run pip install 'django-hurricane[pycharm]', or the version that your PyCharm names"
        )
        return
    host, port = options["pycharm_host"], options["pycharm_port"]
    if not port:
        logger.warning(
            "No '--pycharm-port' was specified. The '--pycharm-host' option can "
            "only be used in combination with the '--pycharm-port' option."
        )
        return

    def trace() -> None:
        # By position: the names of stdout and stderr to server differ between its versions.
        pydevd_pycharm.settrace(host, True, True, port, False)

    if not succeeds(trace, CONNECT_SECONDS_MAX):
        logger.warning("Could not connect to debug server at %s:%s", host, port)
        return
    joins.append(trace)
    logger.info("Connected to debug server at %s:%s", host, port)


def succeeds(connect: Callable[[], None], seconds: float) -> bool:
    """Whether it succeeds in that time, on a thread of its own.

    A host that takes the connection and says nothing must not keep the worker from serving.
    """
    connected = threading.Event()

    def attempt() -> None:
        # It exits where nobody listens.
        with contextlib.suppress(Exception, SystemExit):
            connect()
            connected.set()

    thread = threading.Thread(target=attempt, name="debugger", daemon=True)
    thread.start()
    thread.join(seconds)
    return connected.is_set()


def patiently(listen: Callable[[], object]) -> None:
    """Tries to listen until the port is free."""
    end = time.monotonic() + LISTEN_SECONDS_MAX
    while True:
        try:
            listen()
        except RuntimeError:
            if time.monotonic() > end:
                raise
            time.sleep(LISTEN_PAUSE_SECONDS)
        else:
            return


def join_thread(name: str) -> None:
    """Shows the calling thread to the debuggers, under that name."""
    if joins:
        threading.current_thread().name = name
    for join in joins:
        join()
