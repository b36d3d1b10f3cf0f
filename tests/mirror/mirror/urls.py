"""A path for each kind of answer."""

from django.conf.urls.i18n import i18n_patterns
from django.db.transaction import non_atomic_requests
from django.urls import include, path, re_path

from mirror import looping, requests, views, waiting

# Django refuses coroutines where a database has ATOMIC_REQUESTS.
unatomic = non_atomic_requests(using="atomic")
inner = [path("<slug:name>/", views.named, name="inner")]

urlpatterns = [
    path("", views.hello, name="home"),
    path("hello", views.hello),
    path("slash/", views.hello, name="slash"),
    path("seen", requests.seen),
    re_path(r"^any/(?P<rest>.*)$", requests.seen),
    re_path(r"^pair/([^/]+)/(\d+)$", views.pair),
    path("inner/<int:number>/", include((inner, "app"), namespace="space")),
    path("status/<int:code>", views.status),
    path("make/<str:kind>", views.make),
    path("raise/<str:kind>", views.fail),
    path("request/<str:what>", requests.look),
    path("read/<str:how>", requests.read),
    path("upload", requests.upload),
    path("form", views.form),
    path("session/<str:what>", views.session),
    path("local/<str:what>", views.local),
    path("signal/<str:what>", views.signal),
    path("cached/<str:kind>", views.cached),
    path("conditional", views.conditional),
    path("database/<str:what>", views.database),
    path("class", views.Kind.as_view(), {"extra": "given"}),
    path("page", views.page),
    path("journal", views.journal),
    path("waiting/<str:kind>", unatomic(waiting.waiting)),
    path("waiting-class", unatomic(waiting.Kind.as_view())),
    path("waiting-atomic", waiting.Kind.as_view()),
    path("looping/<str:kind>", unatomic(looping.looping)),
    path("i18n/", include("django.conf.urls.i18n")),
    *i18n_patterns(path("local-page/", views.page)),
]
handler404 = "mirror.views.missing"
