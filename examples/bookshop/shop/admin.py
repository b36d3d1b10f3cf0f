"""The shop's shelves as its staff see them."""

from django.contrib import admin

from shop.models import Author, Book, Review


class ReviewInline(admin.TabularInline):
    model = Review
    extra = 0


@admin.register(Author)
class AuthorAdmin(admin.ModelAdmin):
    search_fields = ("name",)


@admin.register(Book)
class BookAdmin(admin.ModelAdmin):
    list_display = ("title", "author", "published", "price", "stock")
    list_filter = ("published",)
    list_select_related = ("author",)
    search_fields = ("title", "author__name", "isbn")
    autocomplete_fields = ("author",)
    inlines = (ReviewInline,)
