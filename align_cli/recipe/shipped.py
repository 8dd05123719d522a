"""Recipes and data that come with `align`: in the wheel under `align_cli/configs`, in a checkout under `configs`."""

from __future__ import annotations

from pathlib import Path

from align_cli.errors import Problem, RecipeError

SCHEME = "shipped://"


def root() -> Path:
    """The folder of everything that is shipped."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def names() -> list[str]:
    """Shipped recipes as `model/task/variant`, sorted."""
    folder = root() / "recipes"
    found = (path.relative_to(folder).with_suffix("") for path in folder.rglob("*.yaml"))
    return sorted(path.as_posix() for path in found)


def find(name: str) -> Path | None:
    """The file of a shipped recipe, named with or without `.yaml`; None when there is none of that name."""
    known = name.removesuffix(".yaml").strip("/")
    return root() / "recipes" / f"{known}.yaml" if known in names() else None


def name_of(path: Path) -> str | None:
    """The name of the shipped recipe that this file is; None for any other file."""
    folder = (root() / "recipes").resolve()
    found = path.resolve()
    return found.relative_to(folder).with_suffix("").as_posix() if found.is_relative_to(folder) else None


def resolve(path: str) -> str:
    """A file's real path for `shipped://data/x.jsonl`; every other path unchanged.

    Raises:
        RecipeError: the path leaves the shipped folder.
    """
    if not path.startswith(SCHEME):
        return path
    base = root().resolve()
    target = (base / path.removeprefix(SCHEME)).resolve()
    if not target.is_relative_to(base):
        raise RecipeError("a shipped path is wrong", problems=[Problem("leaves the shipped folder", path)])
    return str(target)
