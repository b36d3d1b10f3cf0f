"""The app that holds the views and checks."""

from django.apps import AppConfig


class AgreedConfig(AppConfig):
    """Registers the checks."""

    name = "agreed"

    def ready(self) -> None:
        """Imports the checks."""
        from agreed import checks  # noqa: F401
