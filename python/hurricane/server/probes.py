"""Probe paths as users write them, and as they are matched."""

from typing import Any

PROBES = ("liveness_probe", "readiness_probe", "startup_probe")


def sanitize_probes(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Gives each probe path one leading slash and no spaces.

    Returns the options with those paths, and the paths alone for messages. A path is literal, and
    the server answers it with and without a slash at its end.
    """
    paths = {probe: "/" + options[probe].replace(" ", "").lstrip("/") for probe in PROBES}
    return {**options, **paths}, paths
