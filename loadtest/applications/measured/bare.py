"""Settings without middleware, and the base of the others."""

import os
from pathlib import Path

ALLOWED_HOSTS = ["127.0.0.1"]
DEBUG = False
INSTALLED_APPS = ["measured"]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = "measured.urls"
SECRET_KEY = "measured on loopback only"
STATIC_URL = "/static/"
STATIC_ROOT = Path(__file__).parent / "static"
WSGI_APPLICATION = "measured.wsgi.application"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("LOADTEST_DATABASE", ":memory:"),
        # A connection for each request is what nobody runs who measures.
        "CONN_MAX_AGE": 60,
    }
}

TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]

# Servers that are started by `manage.py serve` bring the command as an application.
if "LOADTEST_MANAGED" in os.environ:
    INSTALLED_APPS.append("hurricane")
