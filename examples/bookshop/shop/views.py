"""The shop's pages, its API, and its stock list as a stream."""

import csv
from collections.abc import Iterator
from io import StringIO

from django.contrib import messages
from django.db.models import Avg, Count, QuerySet
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    JsonResponse,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from shop.forms import CoverForm, ReviewForm
from shop.models import Book

BOOKS_ON_A_PAGE = 60
STOCK_ROWS_AT_ONCE = 100


def shelf() -> QuerySet[Book]:
    """Books with author and rating, in two queries at most."""
    return Book.objects.select_related("author").annotate(
        rating=Avg("reviews__stars"), review_count=Count("reviews")
    )


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """The first page: a list of books, some 20 KiB."""
    books = shelf()
    wanted = request.GET.get("q", "").strip()
    if wanted:
        books = books.filter(title__icontains=wanted)
    return render(request, "shop/index.html", {"books": books[:BOOKS_ON_A_PAGE], "wanted": wanted})


@require_http_methods(["GET", "HEAD", "POST"])
def book_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One book with its reviews, and the form that adds one."""
    book = get_object_or_404(shelf(), pk=pk)
    form = ReviewForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.instance.book = book
        form.save()
        messages.success(request, "Thank you for your review.")
        return redirect(book)
    context = {"book": book, "form": form, "cover_form": CoverForm()}
    return render(request, "shop/book.html", context, status=400 if form.errors else 200)


@require_http_methods(["POST"])
def upload_cover(request: HttpRequest, pk: int) -> HttpResponse:
    """Takes an uploaded cover."""
    book = get_object_or_404(Book, pk=pk)
    form = CoverForm(request.POST, request.FILES, instance=book)
    if not form.is_valid():
        context = {"book": get_object_or_404(shelf(), pk=pk), "cover_form": form}
        return render(request, "shop/book.html", context | {"form": ReviewForm()}, status=400)
    form.save()
    messages.success(request, "The cover was uploaded.")
    return redirect(book)


@require_http_methods(["GET", "HEAD"])
def cover(_request: HttpRequest, pk: int) -> FileResponse:
    """A book's cover, as it was uploaded."""
    book = get_object_or_404(Book, pk=pk)
    if not book.cover:
        raise Http404("This book has no cover.")
    return FileResponse(book.cover.open("rb"))


@require_GET
def api_books(request: HttpRequest) -> JsonResponse:
    """Books as JSON; ``?author=`` narrows them down."""
    books = shelf()
    author = request.GET.get("author")
    if author:
        books = books.filter(author__name__iexact=author)
    return JsonResponse({"books": [as_json(book) for book in books[:BOOKS_ON_A_PAGE]]})


@require_GET
def api_book(_request: HttpRequest, pk: int) -> JsonResponse:
    """One book as JSON."""
    return JsonResponse(as_json(get_object_or_404(shelf(), pk=pk)))


def as_json(book: Book) -> dict[str, object]:
    """What the API says about a book."""
    return {
        "id": book.pk,
        "title": book.title,
        "author": book.author.name,
        "isbn": book.isbn,
        "published": book.published,
        "price": str(book.price),
        "stock": book.stock,
        "rating": book.rating,
    }


@require_GET
def stock_list(_request: HttpRequest) -> StreamingHttpResponse:
    """The whole stock as CSV, streamed: memory does not grow with the shop."""
    response = StreamingHttpResponse(stock_rows(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="stock.csv"'
    return response


def stock_rows() -> Iterator[str]:
    """Lines of CSV, a hundred books at a time."""
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(("isbn", "title", "author", "price", "stock"))
    books = Book.objects.select_related("author").iterator(chunk_size=STOCK_ROWS_AT_ONCE)
    for count, book in enumerate(books, start=1):
        writer.writerow((book.isbn, book.title, book.author.name, book.price, book.stock))
        if count % STOCK_ROWS_AT_ONCE == 0:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()
