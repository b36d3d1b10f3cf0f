"""The application; counts how often it is built."""

from django.core.wsgi import get_wsgi_application

from agreed.views import note

application = get_wsgi_application()
note("built", "")
