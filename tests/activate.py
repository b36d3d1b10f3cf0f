"""Starts a program with listening sockets as a service manager does: `activate.py FDS NAMES …`."""

import os
import sys

FIRST = 3


def main() -> None:
    """Puts the descriptors where the protocol wants them, and runs the rest."""
    given, names, *words = sys.argv[1:]
    # Out of the way first: one may be where another has to go.
    moved = [os.dup(int(number)) for number in given.split(",")]
    high = [os.dup2(number, 100 + index) for index, number in enumerate(moved)]
    for index, number in enumerate(high):
        os.dup2(number, FIRST + index, inheritable=True)
        os.close(number)
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.environ["LISTEN_FDS"] = str(len(high))
    os.environ["LISTEN_FDNAMES"] = names
    os.execvp(words[0], words)


if __name__ == "__main__":
    main()
