"""A cache that notes when it is closed."""

from typing import Any

from django.core.cache.backends.locmem import LocMemCache

from mirror.journal import note


class Noted(LocMemCache):
    """A cache in memory."""

    def close(self, **_kwargs: Any) -> None:
        """Notes it."""
        note("cache closed")
