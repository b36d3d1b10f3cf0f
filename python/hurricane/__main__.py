"""The console script ``hurricane``, also run by ``python -m hurricane``."""

import sys

from hurricane import _core
from hurricane.loader import LoadError, load


def main() -> None:
    """Runs the console script and exits with its code."""
    try:
        code = _core.main(sys.argv[1:], load)
    except LoadError as error:
        sys.stderr.write(f"hurricane: {error}\n")
        sys.exit(1)
    sys.exit(code)


if __name__ == "__main__":
    main()
