"""Makes the table."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """The first."""

    initial = True
    dependencies: ClassVar = []
    operations: ClassVar = [
        migrations.CreateModel(
            "Errand",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("what", models.CharField(max_length=100)),
            ],
        )
    ]
