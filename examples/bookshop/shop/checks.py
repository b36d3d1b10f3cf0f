"""What the shop's probes depend on.

Registered with ``deploy=True``, so that they run for probes but do not keep the server from
starting: a shop whose shelves are still empty starts and becomes ready once they are filled.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as CheckWarning
from django.template import TemplateDoesNotExist
from django.template.loader import get_template

from shop.models import Book


@register("readiness", deploy=True)
def shelves_are_filled(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001 - Django's signature
    **_kwargs: object,
) -> list[CheckMessage]:
    """A shop without books is not ready for visitors; one that runs low warns."""
    in_stock = Book.objects.filter(stock__gt=0).count()
    if in_stock == 0:
        return [Error("no book is in stock", hint="Run manage.py seed.", id="shop.E001")]
    if in_stock < 10:
        return [CheckWarning(f"only {in_stock} books are in stock", id="shop.W001")]
    return []


@register("readiness", deploy=True)
def covers_can_be_stored(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001 - Django's signature
    **_kwargs: object,
) -> list[CheckMessage]:
    """Uploads need a place. The directory is made with the first upload."""
    place = Path(settings.MEDIA_ROOT)
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            return []
    except OSError as error:
        return [Error(f"cannot write to {place}: {error.strerror}", id="shop.E002")]


@register("liveness", deploy=True)
def templates_can_be_loaded(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001 - Django's signature
    **_kwargs: object,
) -> list[CheckMessage]:
    """Without its templates the container's image is broken; only another one helps."""
    try:
        get_template("shop/index.html")
    except TemplateDoesNotExist as error:
        return [Error(f"template {error} is missing", id="shop.E003")]
    return []
