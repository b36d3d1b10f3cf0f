"""Threads that send webhooks, so that whoever runs one goes on.

Invariants:
- At most ``THREADS_MAX`` send at a time; a webhook beyond that is refused.
- A process that ends waits for them for ``EXIT_SECONDS`` at most.
- What a parent was sending when it forked is not the child's.
"""

import atexit
import os
import threading
import time
from collections.abc import Callable

THREADS_MAX = 64
EXIT_SECONDS = 1.0


class Threads:
    """Those of this process that send."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Knows of no thread; for a child, in which none of its parent's is."""
        self.changed = threading.Condition()
        self.active = 0

    def start(self, work: Callable[[], None]) -> bool:
        """Runs ``work`` on a thread of its own; false when there are too many."""
        with self.changed:
            if self.active >= THREADS_MAX:
                return False
            self.active += 1
        try:
            threading.Thread(target=self.run, args=(work,), name="webhook", daemon=True).start()
        except RuntimeError:
            self.ended()
            return False
        return True

    def run(self, work: Callable[[], None]) -> None:
        """The life of a thread."""
        try:
            work()
        finally:
            self.ended()

    def ended(self) -> None:
        """One less sends."""
        with self.changed:
            self.active -= 1
            self.changed.notify_all()

    def settle(self, seconds: float) -> bool:
        """Waits until nobody sends; false when that takes longer."""
        end = time.monotonic() + seconds
        with self.changed:
            while self.active:
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self.changed.wait(left)
        return True


threads = Threads()
os.register_at_fork(after_in_child=threads.reset)
atexit.register(threads.settle, EXIT_SECONDS)
