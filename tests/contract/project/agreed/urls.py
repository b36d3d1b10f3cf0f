"""Where the views are."""

from django.urls import path, re_path

from agreed import views

urlpatterns = [
    path("", views.hello),
    path("echo", views.echo),
    re_path("^named/(?P<name>.*)$", views.named),
    path("cookies", views.cookies),
    path("stream", views.stream),
    path("breaks", views.breaks),
    path("hold/<str:gate>", views.hold),
    path("raise", views.fail),
    path("exit", views.leave),
    path("fields", views.fields),
    path("empty", views.empty),
    path("sink", views.sink),
    path("generated", views.generated),
]
