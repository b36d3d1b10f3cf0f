"""Where the views are."""

from django.urls import path, re_path

from stage import metrics, views

urlpatterns = [
    path("", views.hello),
    path("slow", views.slow),
    path("leak", views.leak),
    path("echo", views.echo),
    re_path("^named/(?P<name>.*)$", views.named),
    path("cookies", views.cookies),
    path("stream", views.stream),
    path("endless", views.endless),
    path("breaks", views.breaks),
    path("hold/<str:gate>", views.hold),
    path("gil", views.hold_interpreter),
    path("block/<str:name>", views.block),
    path("spin", views.spin),
    path("compute", views.compute),
    path("allocate", views.allocate),
    path("crash", views.crash),
    path("raise", views.fail),
    path("exit", views.leave),
    path("empty", views.empty),
    path("upload", views.upload),
    path("sink", views.sink),
    path("file", views.file),
    path("handed", views.handed),
    path("told", views.told),
    path("vanish", views.vanish),
    path("fork", views.fork),
    path("generated", views.generated),
    path("orphan", views.orphan),
    path("mask", views.mask),
    path("threads", views.threads),
    path("frozen", views.frozen),
    path("announce", views.announce),
    path("metrics/change", metrics.change),
    path("metrics/read", metrics.read),
    path("books/<int:number>/", views.named_book),
]
