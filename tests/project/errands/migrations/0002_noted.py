"""Notes that it is applied, waits if a test wants to see it run, and fails if it is told to."""

import os
from typing import Any, ClassVar

from django.conf import settings
from django.db import migrations

from stage.views import note, wait_for


def apply(_apps: Any, _schema_editor: Any) -> None:
    """Does as files tell it."""
    note("migrated", str(os.getpid()))
    if (settings.SIGNALS / "migration-holds").exists():
        wait_for("migration-open")
    if (settings.SIGNALS / "migration-fails").exists():
        raise RuntimeError("a migration of the tests was told to fail")


class Migration(migrations.Migration):
    """The second."""

    dependencies: ClassVar = [("errands", "0001_initial")]
    operations: ClassVar = [migrations.RunPython(apply)]
