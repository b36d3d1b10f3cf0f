"""Builds ``environ`` N times: ``build.py EXTENSION plain|browser N`` prints nanoseconds."""

import sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import module_from_spec


def main(extension: str, request: str, times: str) -> None:
    """Loads the extension from where cargo has put it, and runs it."""
    loader = ExtensionFileLoader("environ", extension)
    module = module_from_spec(ModuleSpec("environ", loader, origin=extension))
    loader.exec_module(module)
    seconds: float = module.build(request, int(times))
    sys.stdout.write(f"{seconds * 1e9:.0f}\n")


main(*sys.argv[1:])
