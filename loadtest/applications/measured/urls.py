"""A path for each scenario."""

from django.urls import path

from measured import views

urlpatterns = [
    path("", views.greet),
    path("json", views.describe),
    path("row", views.read_row),
    path("page", views.render_page),
    path("upload", views.upload),
    path("wait", views.wait),
    path("second", views.wait_second),
    path("stream", views.stream),
]
