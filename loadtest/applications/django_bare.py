"""Django without middleware."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    MIDDLEWARE=[],
    ROOT_URLCONF="greeting",
    SECRET_KEY="measured on loopback only",
)

application = get_wsgi_application()
