"""The console script ``hurricane``, also run by ``python -m hurricane``."""

import sys

from hurricane import _core
from hurricane.loader import load


def main() -> None:
    """Runs the console script and exits with its code."""
    sys.exit(_core.main(sys.argv[1:], load))


if __name__ == "__main__":
    main()
