"""The console script ``hurricane``, also run by ``python -m hurricane``.

It imports no more than it needs: ``hurricane healthcheck`` is run by probes every few seconds.
"""

import sys

from hurricane import _core

# As of typing, whose import takes longer than all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication


def main() -> None:
    """Runs the console script and exits with its code."""
    sys.exit(_core.main(sys.argv[1:], load))


def load(target: str) -> "WSGIApplication":
    """Loads the application, or ends with one sentence."""
    from hurricane import loader

    try:
        return loader.load(target)
    except loader.LoadError as error:
        sys.stderr.write(f"hurricane: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
