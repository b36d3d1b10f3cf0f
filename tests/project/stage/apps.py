"""The app that holds the views and checks of the tests."""

from django.apps import AppConfig


class StageConfig(AppConfig):
    """Registers the checks."""

    name = "stage"

    def ready(self) -> None:
        """Imports the checks."""
        from stage import checks, views  # noqa: F401

        views.hang_at_start("apps")
