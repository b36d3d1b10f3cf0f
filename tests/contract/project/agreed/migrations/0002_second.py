"""Makes nothing either."""

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    """The second."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("agreed", "0001_initial")]
    operations: ClassVar[list[migrations.RunPython]] = []
