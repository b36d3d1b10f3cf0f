"""A table that only migrations make."""

from __future__ import annotations

from django.db import models


class Errand(models.Model):
    """Something done."""

    what: models.CharField[str, str] = models.CharField(max_length=100)

    def __str__(self) -> str:
        return str(self.what)
