"""What the registry of metrics raises."""


class MetricIdAlreadyRegistered(Exception):  # noqa: N818 - the name is an interface
    """A metric of that code is registered already."""
