"""An application with something in front of it."""

from collections.abc import Iterable
from typing import Any

from stage.wsgi import application as inner


class Wrapped:
    """Passes every call on."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answers as Django does."""
        return inner(environ, start_response)


application = Wrapped()
