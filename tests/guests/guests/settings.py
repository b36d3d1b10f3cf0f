"""Settings with those guests that only want to be installed; ``GUEST`` names one more."""

import os
from pathlib import Path

from django.http import HttpRequest

BASE = Path(__file__).parent
SIGNALS = Path(os.environ.get("STAGE_SIGNALS", "."))


def shows_toolbar(request: HttpRequest) -> bool:
    """Whoever asks for the toolbar sees it."""
    return "toolbar" in request.GET or request.path.startswith("/__debug__/")


SECRET_KEY = "only for tests"
DEBUG = False
ALLOWED_HOSTS = ["localhost"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "debug_toolbar",
    "rest_framework",
    "hurricane",
    "guests",
]
MIDDLEWARE = [
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "debug_toolbar.middleware.DebugToolbarMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
ROOT_URLCONF = "guests.urls"
IS_WRAPPED = os.environ.get("GUEST") == "whitenoise"
WSGI_APPLICATION = f"guests.wsgi.{'behind_whitenoise' if IS_WRAPPED else 'application'}"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("STAGE_DATABASE", ":memory:"),
    }
}
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
ACCOUNT_EMAIL_VERIFICATION = "none"
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
# Django's own for tests: what it costs is not what is looked at.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LOGIN_REDIRECT_URL = "/who"
STATIC_URL = "/static/"
STATIC_ROOT = SIGNALS / "collected"
WHITENOISE_AUTOREFRESH = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DEBUG_TOOLBAR_CONFIG = {"SHOW_TOOLBAR_CALLBACK": "guests.settings.shows_toolbar"}
REST_FRAMEWORK = {
    "DEFAULT_THROTTLE_RATES": {"anon": "2/day"},
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.SessionAuthentication",
        "rest_framework.authentication.BasicAuthentication",
    ],
}
