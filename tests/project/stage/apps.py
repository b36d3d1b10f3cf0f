"""The app that holds the views and checks of the tests."""

import os

from django.apps import AppConfig


class StageConfig(AppConfig):
    """Registers checks and webhooks."""

    name = "stage"

    def ready(self) -> None:
        """Imports the checks, and registers the webhooks that a test has asked for."""
        from stage import checks, views, webhooks  # noqa: F401

        webhooks.register(os.environ.get("STAGE_WEBHOOKS", ""))
        views.hang_at_start("apps")
