"""The same with a version, which webhooks carry."""

from shop.settings import *  # noqa: F403

HURRICANE_VERSION = "2026.1"
