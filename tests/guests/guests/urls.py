"""A path for each guest."""

from django.urls import include, path
from rest_framework.routers import DefaultRouter

from guests import views

router = DefaultRouter()
router.register("things", views.Things, basename="thing")

urlpatterns = [
    path("page", views.page),
    path("who", views.who),
    path("fail", views.fail, name="failing"),
    path("api/echo", views.echo),
    path("api/throttled", views.throttled),
    path("api/", include(router.urls)),
    path("accounts/", include("allauth.urls")),
    path("__debug__/", include("debug_toolbar.urls")),
]
