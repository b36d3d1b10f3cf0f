"""Settings of the project that the tests serve; a test changes them through the environment."""

import json
import os
from pathlib import Path

SECRET_KEY = "only for tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
# What a test and its server tell each other through files.
SIGNALS = Path(os.environ.get("STAGE_SIGNALS", "/nonexistent"))

INSTALLED_APPS = ["django.contrib.contenttypes", "hurricane", "stage", "errands"]
MIDDLEWARE = ["stage.middleware.name_the_worker", "django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "stage.urls"
WSGI_APPLICATION = "stage.wsgi.application"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("STAGE_DATABASE", ":memory:"),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DATA_UPLOAD_MAX_MEMORY_SIZE = None

globals().update(json.loads(os.environ.get("STAGE_SETTINGS", "{}")))
