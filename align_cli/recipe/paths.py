"""Relative paths in recipes: the working directory first, then the folder of the file they were written in."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from align_cli.recipe.provenance import Key
from align_cli.recipe.schema import Mixture, Source

#: Key -> folder of the file its value was written in; None where no file wrote it.
FolderOf = Callable[[Key], Path | None]

#: Flat keys that may hold a path to something that is read.
_KEYS = (
    "model_name_or_path",
    "tokenizer_name_or_path",
    "chat_template",
    "chat_template_path",
    "deepspeed",
    "fsdp_config",
)
_LONGEST = 1024  # characters; a longer value is a text


def of_sources(mixture: Mixture, folder_of: FolderOf) -> Mixture:
    """The mixture with the paths of local sources, and of files to clean by, made findable from anywhere."""
    by = mixture.clean.decontaminate
    files = tuple(
        _reference(name, folder_of(("mixture", "clean", "decontaminate", index))) if is_file_name(name) else name
        for index, name in enumerate(by)
    )
    return replace(
        mixture,
        clean=mixture.clean if files == by else replace(mixture.clean, decontaminate=files),
        sources=tuple(_source(item, ("mixture", "sources", i), folder_of) for i, item in enumerate(mixture.sources)),
        eval=tuple(_source(item, ("mixture", "eval", i), folder_of) for i, item in enumerate(mixture.eval)),
    )


def of_values(values: Mapping[str, Any], folder_of: FolderOf) -> dict[str, Any]:
    """The values with paths found beside their recipe made absolute."""
    result = dict(values)
    for key in _KEYS:
        value = result.get(key)
        if isinstance(value, str):
            result[key] = found(value, folder_of((key,)))
    return result


def found(path: str, folder: Path | None) -> str:
    """`path` as it is, unless it exists only beside the recipe file: then absolute, below `folder`."""
    if folder is None or not path or "://" in path or "\n" in path or len(path) > _LONGEST or "{%" in path:
        return path
    if os.path.isabs(path) or path.startswith("~") or is_there(path):
        return path
    beside = _joined(folder, path)
    if is_there(beside):
        return beside
    if glob.has_magic(path) and not glob.glob(path, recursive=True) and glob.glob(beside, recursive=True):
        return beside
    return path


def _joined(folder: Path, path: str) -> str:
    """`folder/path`, without the `..` that `path` begins with where that leads to the same folder (not by a link)."""
    up, parts = str(folder), path.split("/")
    while parts[0] in ("..", ".") and len(parts) > 1:
        up = os.path.join(up, parts.pop(0))
    short = os.path.normpath(up)
    if up != short and os.path.exists(up) and os.path.exists(short) and os.path.samefile(up, short):
        up = short
    return os.path.join(up, *parts)


def is_there(path: str, kind: Literal["any", "file", "folder"] = "any") -> bool:
    """Whether a path exists. Any text will do: os.path says no where pathlib raises (too long, a null byte)."""
    test = {"any": os.path.exists, "file": os.path.isfile, "folder": os.path.isdir}[kind]
    return test(os.path.expanduser(path))


def is_file_name(name: str) -> bool:
    """Whether an entry of `clean.decontaminate` names a file: a word without a slash or a suffix is a benchmark."""
    return "/" in name or os.sep in name or name.startswith("~") or bool(os.path.splitext(name)[1])


def _reference(name: str, folder: Path | None) -> str:
    file = without_column(name)
    return found(file, folder) + name[len(file) :]


def without_column(name: str) -> str:
    """The file of an entry `FILE` or `FILE:COLUMN` of `clean.decontaminate`."""
    file, colon, column = name.rpartition(":")
    return file if colon and "/" not in column and is_file_name(file) and not is_there(name, "file") else name


def _source(source: Source, key: Key, folder_of: FolderOf) -> Source:
    path = found(source.path, folder_of((*key, "path")))
    return source if path == source.path else replace(source, path=path)
