"""The application, and the same behind WhiteNoise."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from whitenoise import WhiteNoise

application = get_wsgi_application()
behind_whitenoise = WhiteNoise(application, root=settings.STATIC_ROOT, prefix="/static/")
