"""Where the files of an installed package lie, found without importing it: what it depends on may be absent."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

#: Scheme of a file inside an installed package: `pkg://PACKAGE/FILE`.
SCHEME = "pkg://"


def root_of(module: str) -> Path | None:
    """Folder of the top-level package of a dotted name; None when it is not installed or is a single file."""
    spec = _spec(module)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def file_of(module: str) -> Path | None:
    """The file of a top-level module that is a single file; None when it is not installed or is a package."""
    spec = _spec(module)
    single = spec is not None and spec.submodule_search_locations is None and spec.has_location
    return Path(str(spec.origin)) if spec and single else None


def _spec(module: str) -> ModuleSpec | None:
    package = module.partition(".")[0]
    try:
        return find_spec(package) if package.isidentifier() else None
    except (ImportError, ValueError):
        return None
