"""The application; counts how often it is built."""

import os
from pathlib import Path

from django.core.wsgi import get_wsgi_application

if "STAGE_SIGNALS" in os.environ:
    with (Path(os.environ["STAGE_SIGNALS"]) / "built").open("a") as built:
        built.write(f"{os.getpid()}\n")
application = get_wsgi_application()
