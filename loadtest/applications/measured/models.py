"""One table, which the harness makes and fills."""

from django.db import models


class Book(models.Model):
    """A row that is read by its key."""

    title: "models.CharField[str, str]" = models.CharField(max_length=100)
    author: "models.CharField[str, str]" = models.CharField(max_length=100)
    price: "models.IntegerField[int, int]" = models.IntegerField()

    class Meta:
        """The table is none that migrations know."""

        managed = False
        db_table = "measured_book"

    def __str__(self) -> str:
        return self.title
