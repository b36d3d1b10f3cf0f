"""Makes nothing: it is there to be applied."""

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    """The first."""

    initial = True
    operations: ClassVar[list[migrations.RunPython]] = []
