"""Settings; a test changes them through the environment."""

import json
import os
from pathlib import Path

SECRET_KEY = "only for tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
# What a test and its server tell each other through files.
SIGNALS = Path(os.environ.get("STAGE_SIGNALS", "/nonexistent"))

INSTALLED_APPS = ["django.contrib.contenttypes", "hurricane", "agreed"]
MIDDLEWARE = ["agreed.views.name_the_process", "django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "agreed.urls"
WSGI_APPLICATION = "agreed.wsgi.application"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("STAGE_DATABASE", ":memory:"),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DATA_UPLOAD_MAX_MEMORY_SIZE = None
# As projects have it that want to see the server's lines.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}

globals().update(json.loads(os.environ.get("STAGE_SETTINGS", "{}")))
