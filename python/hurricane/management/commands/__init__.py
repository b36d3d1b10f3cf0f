"""Commands that ``manage.py`` finds, and the version of the distribution that they are from."""

from importlib.metadata import PackageNotFoundError, version

from hurricane import _core

try:
    HURRICANE_DIST_VERSION = version("django-hurricane")
except PackageNotFoundError:
    # Run from a checkout: the extension module knows what it was built of.
    HURRICANE_DIST_VERSION = _core.__version__
