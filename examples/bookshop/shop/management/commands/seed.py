"""``manage.py seed``: fills an empty shop with books, authors and reviews."""

import random
from argparse import ArgumentParser
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from shop.models import Author, Book, Review

FIRST_NAMES = ("Ada", "Bela", "Clara", "Dario", "Elif", "Femi", "Greta", "Hiro", "Ines", "Jón")
LAST_NAMES = ("Abara", "Brandt", "Castro", "Dvořák", "Eriksen", "Fontaine", "García", "Haddad")
SUBJECTS = ("Storm", "Harbour", "Lighthouse", "Archive", "Orchard", "Compass", "Winter", "River")
TURNS = ("The {} at Noon", "Letters from the {}", "A History of the {}", "{} and Stone", "No {}")
SENTENCES = (
    "A quiet book about people who stay when others leave.",
    "Told in letters, it follows three generations through one summer.",
    "Half travel diary, half detective story, and wholly its own.",
    "The author returns to the coast of the first novel, twenty years on.",
)


class Command(BaseCommand):
    help = "Fills the shop with made-up books, the same ones each time."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--books", type=int, default=200, help="how many books there shall be")

    def handle(self, *_args: str, **options: Any) -> None:
        wanted: int = options["books"]
        missing = wanted - Book.objects.count()
        if missing <= 0:
            self.stdout.write(f"The shop has {wanted} books or more already.")
            return
        with transaction.atomic():
            self.fill(missing)
        self.stdout.write(f"Added {missing} books.")

    def fill(self, count: int) -> None:
        """Adds books whose ISBNs follow the highest so far."""
        # The same seed gives the same shop everywhere, so pages can be compared.
        dice = random.Random(count)
        authors = [
            Author.objects.get_or_create(name=f"{first} {last}")[0]
            for first in FIRST_NAMES
            for last in LAST_NAMES[:4]
        ]
        start = Book.objects.count()
        books = [
            Book(
                title=dice.choice(TURNS).format(dice.choice(SUBJECTS)),
                author=dice.choice(authors),
                isbn=f"979{start + number:010d}",
                published=dice.randint(1950, 2025),
                price=Decimal(dice.randint(500, 4000)) / 100,
                stock=dice.randint(1, 40),
                summary=" ".join(dice.sample(SENTENCES, k=2)),
            )
            for number in range(count)
        ]
        Book.objects.bulk_create(books)
        isbns = [book.isbn for book in books]
        Review.objects.bulk_create(
            Review(book=book, reader=dice.choice(FIRST_NAMES), stars=dice.randint(2, 5))
            for book in Book.objects.filter(isbn__in=isbns)
            for _ in range(dice.randint(0, 3))
        )
