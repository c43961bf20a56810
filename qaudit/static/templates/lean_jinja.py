"""Imports of Jinja only what the sandbox needs, in the process that looks at templates.

`import jinja2` also brings loaders and stores of byte code, and with them pickle, tempfile and what these
need: a sixth of what that process takes to start.
"""

import sys
from importlib import import_module
from importlib.machinery import PathFinder
from types import ModuleType

NEEDED = ("environment", "exceptions", "ext", "nodes", "parser", "runtime", "sandbox", "utils")


def import_lean_jinja() -> None:
    """Import the parts without their package's own `__init__`; the whole where they need it."""
    found = PathFinder.find_spec("jinja2")
    if found is None or found.submodule_search_locations is None or "jinja2" in sys.modules:
        return
    package = ModuleType("jinja2")
    package.__path__ = list(found.submodule_search_locations)
    sys.modules["jinja2"] = package
    try:
        for name in NEEDED:
            import_module(f"jinja2.{name}")
    except (ImportError, AttributeError):  # another release, put together differently
        for name in [name for name in sys.modules if name.partition(".")[0] == "jinja2"]:
            del sys.modules[name]
