"""The shop through Django's test client."""

import tempfile
from io import StringIO

from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import TestCase, override_settings
from django.urls import reverse

from shop.models import Book


class ShopTests(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        call_command("seed", books=80, stdout=StringIO())

    def test_the_first_page_lists_sixty_books_in_about_20_kib(self) -> None:
        response = self.client.get(reverse("shop:index"))
        self.assertContains(response, "<li>", count=60)
        self.assertGreater(len(response.content), 16 * 1024)
        self.assertLess(len(response.content), 28 * 1024)

    def test_search_narrows_the_list(self) -> None:
        response = self.client.get(reverse("shop:index"), {"q": "no such title"})
        self.assertContains(response, "No book was found.")

    def test_a_review_is_kept(self) -> None:
        book = Book.objects.get(isbn="9790000000000")
        before = book.reviews.count()
        response = self.client.post(
            book.get_absolute_url(), {"reader": "Ada", "stars": 5, "text": "Good"}, follow=True
        )
        self.assertContains(response, "Thank you for your review.")
        self.assertEqual(book.reviews.count(), before + 1)

    def test_a_review_with_six_stars_is_refused(self) -> None:
        book = Book.objects.get(isbn="9790000000000")
        response = self.client.post(book.get_absolute_url(), {"reader": "Ada", "stars": 6})
        self.assertEqual(response.status_code, 400)

    def test_an_uploaded_cover_comes_back_as_it_was(self) -> None:
        book = Book.objects.get(isbn="9790000000001")
        upload = SimpleUploadedFile("cover.png", b"\x89PNG" * 1000, content_type="image/png")
        with tempfile.TemporaryDirectory() as media, override_settings(MEDIA_ROOT=media):
            self.client.post(reverse("shop:upload-cover", args=[book.pk]), {"cover": upload})
            response = self.client.get(reverse("shop:cover", args=[book.pk]))
            self.assertEqual(b"".join(response.streaming_content), b"\x89PNG" * 1000)

    def test_a_cover_that_is_no_image_is_refused(self) -> None:
        book = Book.objects.get(isbn="9790000000001")
        upload = SimpleUploadedFile("cover.txt", b"text", content_type="text/plain")
        url = reverse("shop:upload-cover", args=[book.pk])
        self.assertEqual(self.client.post(url, {"cover": upload}).status_code, 400)

    def test_the_api_lists_one_author(self) -> None:
        author = Book.objects.get(isbn="9790000000000").author.name
        books = self.client.get(reverse("shop:api-books"), {"author": author}).json()["books"]
        self.assertEqual({book["author"] for book in books}, {author})

    def test_the_stock_list_has_a_line_for_every_book(self) -> None:
        response = self.client.get(reverse("shop:stock"))
        self.assertEqual(b"".join(response.streaming_content).count(b"\r\n"), 81)

    def test_seeding_twice_adds_nothing(self) -> None:
        out = StringIO()
        call_command("seed", books=80, stdout=out)
        self.assertIn("already", out.getvalue())
        self.assertEqual(Book.objects.count(), 80)
