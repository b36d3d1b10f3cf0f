"""Whether the server behaves as Django-Hurricane 1.6.2 did (``--compat 1.6``).

What was changed on purpose, and which of it that flag brings back, is listed in
docs/migrating-from-django-hurricane.md. Where a behaviour is chosen in Python, the code asks here.
"""

from hurricane import _core

__all__ = ["is_legacy"]


def is_legacy() -> bool:
    """Whether what was changed on purpose is as it was.

    That is known from the moment that the flags are settled: before the application is loaded, and
    before any check or management command of the start runs. Until then it is false.
    """
    return _core.is_legacy()
