"""What is left in Python of the way from a request to the project's WSGI callable.

Django-Hurricane called the project from a container of Tornado's. Here the extension module does
that, so the container cannot be made; what projects use of it, they use without an instance.
"""


class HurricaneWSGIException(Exception):  # noqa: N818 - the name that projects know
    """Raised when a container is made, which there is no more."""


class HurricaneWSGIContainer:
    """Cleans headers' values. There is no instance of it."""

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        raise HurricaneWSGIException(
            "requests are not handed to a container in Python any more; "
            "serve the callable with manage.py serve or hurricane serve"
        )

    @staticmethod
    def _sanitize_header_value(value: str | None) -> str | None:
        """The value without space around it, or ``None`` where nothing is left of it."""
        return (value or "").strip() or None
