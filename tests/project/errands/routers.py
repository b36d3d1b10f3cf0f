"""A router of the tests."""

from typing import Any


class DefaultOnly:
    """Keeps every app away from all databases but the default one."""

    def allow_migrate(self, db: str, _app_label: str, **_hints: Any) -> bool:
        """Whether migrations of that app are for that database."""
        return db == "default"
