"""The shop, its API, the admin, and the static files that the admin needs."""

from django.contrib import admin
from django.contrib.staticfiles.views import serve as serve_static
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    # For a look at the demo. In production a CDN or the ingress serves collected static files.
    path("static/<path:path>", serve_static, {"insecure": True}),
    path("", include("shop.urls")),
]
