"""Where the shop's pages are."""

from django.urls import path

from shop import views

app_name = "shop"
urlpatterns = [
    path("", views.index, name="index"),
    path("books/<int:pk>/", views.book_page, name="book"),
    path("books/<int:pk>/cover/", views.cover, name="cover"),
    path("books/<int:pk>/cover/upload/", views.upload_cover, name="upload-cover"),
    path("stock.csv", views.stock_list, name="stock"),
    path("api/books/", views.api_books, name="api-books"),
    path("api/books/<int:pk>/", views.api_book, name="api-book"),
]
