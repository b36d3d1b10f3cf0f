"""Makes what is random or of the moment the same in every process."""

import hmac
import random
import time
from types import SimpleNamespace

from django.apps import AppConfig
from django.contrib.sessions import middleware as sessions
from django.core import signing
from django.http import response
from django.middleware.gzip import GZipMiddleware
from django.utils import cache, crypto

NOW = 1_700_000_000.0


class MirrorConfig(AppConfig):
    """The project's application."""

    name = "mirror"

    def ready(self) -> None:
        """Replaces chance and clock where Django looks at them."""
        chance = random.Random(1)
        # Each module has its own name for them.
        vars(crypto)["secrets"] = SimpleNamespace(
            choice=chance.choice, compare_digest=hmac.compare_digest
        )
        still = SimpleNamespace(
            **{name: getattr(time, name) for name in dir(time) if not name.startswith("_")}
        )
        still.time = lambda: NOW
        # A length that tells nobody how well something was compressed.
        GZipMiddleware.max_random_bytes = None  # type: ignore[assignment]
        for module in (response, cache, sessions, signing):
            vars(module)["time"] = still
