"""What a project may see of a server that refuses to start."""

from django.core.management.base import CommandError


class IncompatibleOptions(CommandError):  # noqa: N818 - the name that projects know
    """Two options cannot be used together; the text says which and what to do."""
