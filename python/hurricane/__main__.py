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
    try:
        code = _core.main(sys.argv[1:], load)
    except Exception as error:
        from hurricane.loader import LoadError

        if not isinstance(error, LoadError):
            raise
        sys.stderr.write(f"hurricane: {error}\n")
        sys.exit(1)
    sys.exit(code)


def load(target: str) -> "WSGIApplication":
    """Loads the application; only then is there a need for what loads it."""
    from hurricane import loader

    return loader.load(target)


if __name__ == "__main__":
    main()
