"""The application; counts how often it is built."""

import os
from pathlib import Path

from django.core.wsgi import get_wsgi_application

from stage.views import hang_at_start

if "STAGE_SIGNALS" in os.environ:
    with (Path(os.environ["STAGE_SIGNALS"]) / "built").open("a") as built:
        built.write(f"{os.getpid()}\n")
hang_at_start("wsgi")
application = get_wsgi_application()
