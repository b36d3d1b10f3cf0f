"""Settings of a project whose static files the server serves itself."""

import os
from pathlib import Path

from measured.bare import *  # noqa: F403

STATIC_ROOT = Path(os.environ["LOADTEST_FILES"])
