"""Where a source's rows are: files on this machine, a saved data set, or the Hub. No file is read for its rows here.

What exists on this machine is local and touches no network.
"""

from __future__ import annotations

import difflib
import glob
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from align_cli.errors import DataError
from align_cli.mix.faults import fault
from align_cli.mix.sources import splits
from align_cli.mix.sources.formats import READABLE, File, file_at, format_of, shown
from align_cli.packages import root_of
from align_cli.recipe.schema import Source

Kind = Literal["file", "folder", "glob", "saved", "package", "shipped", "hub"]

#: Files that lie beside data and are none.
_NOT_DATA = re.compile(
    r"^(\.|_)|^(readme|licen[cs]e|notice|changelog|copying|requirements)\b|^(datasets?_infos?|dataset_dict|state|config|mixture)\.json$",
    re.IGNORECASE,
)
#: Names of `datasets`' file loaders, which TRL recipes give as the path beside `data_files`.
_LOADERS = ("json", "csv", "parquet", "text", "arrow")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True, slots=True)
class Part:
    """One term of the split expression: its files in reading order and the rows of them that are wanted."""

    files: tuple[File, ...]
    slice: splits.Slice


@dataclass(frozen=True, slots=True)
class Located:
    """A source and its files. `parts` is empty for the Hub, whose files `hub` fetches."""

    source: Source
    kind: Kind
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()
    identity: Mapping[str, Any] = field(default_factory=dict)
    """What names the rows beyond the files' bytes (the Hub's commit)."""


def locate(source: Source) -> Located:
    """Find a source's files, or say that it is on the Hub.

    Raises:
        DataError: nothing is there, no file in it can be read, or it has no such split.
    """
    if source.path in _LOADERS and source.data_files:
        return _files(source, "glob", _expand(source, source.data_files, Path()))
    if source.path.startswith("pkg://"):
        return _local(source, package_path(source.path, source.label), "package")
    if source.path.startswith("shipped://"):
        from align_cli.recipe import shipped

        here = Path(shipped.resolve(source.path))
        if not here.exists():
            raise fault(source.label, f"nothing is shipped as {source.path}", "align recipe ls lists what is")
        return _local(source, here, "shipped")
    path = Path(source.path).expanduser()
    if path.exists():
        return _local(source, path, "file")
    if any(mark in source.path for mark in "*?["):
        return _files(source, "glob", _expand(source, (str(path),), Path()))
    if is_hub_id(source.path):
        _check_streaming(source, parse_split(source))
        return Located(source, "hub", ())
    raise _missing(source, path)


def _check_streaming(source: Source, terms: Sequence[splits.Slice]) -> None:
    """A stream has a beginning and no known end. How many rows are read of it, the recipe's own checks ask."""
    if not source.streaming:
        return
    if any(term.percent or (term.start or 0) < 0 or (term.stop or 0) < 0 for term in terms):
        raise fault(
            source.label,
            f'split: "{source.split}" needs the number of all rows, which a stream does not tell',
            "write train[:1000], or streaming: false",
        )


def is_hub_id(path: str) -> bool:
    """Whether a path that does not exist here reads as NAME or OWNER/NAME on the Hub, and not as a file's name."""
    return _HUB_ID.fullmatch(path) is not None and format_of(Path(path)) is None


def package_path(reference: str, label: str) -> Path:
    """The file that `pkg://PACKAGE/FILE` names. The package is found, not imported.

    Raises:
        DataError: the package is not installed or does not hold the file.
    """
    package, _, inner = reference.removeprefix("pkg://").partition("/")
    if not package or not inner or ".." in Path(inner).parts:
        raise fault(label, f'"{reference}" names no file in a package', "write pkg://PACKAGE/FILE")
    root = root_of(package)
    if root is None:
        raise fault(
            label, f'the package "{package}" of {reference} is not installed', "install it, or give the file's own path"
        )
    if (root / inner).exists():
        return root / inner
    raise fault(
        label, f'the package "{package}" holds no file "{inner}"', "the path is relative to the package's folder"
    )


def parse_split(source: Source) -> tuple[splits.Slice, ...]:
    """The terms of the source's split expression; () when it names none."""
    if not source.split:
        return ()
    try:
        return splits.parse(source.split)
    except ValueError as error:
        raise fault(source.label, str(error), "") from None


def saved_files(folder: Path) -> list[Path]:
    """Arrow files of one split that `datasets` saved with `save_to_disk`, in order."""
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        found = [folder / entry["filename"] for entry in state["_data_files"]]
        indices = [entry for key in ("_indices_files", "_indices_data_files") for entry in state.get(key) or ()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"it does not list the data set's files ({type(error).__name__})"
        raise fault(shown(folder / "state.json"), message, "save the data set again with save_to_disk") from None
    if indices:  # `datasets` before 2.0 wrote the rows as they were and their choice and order beside them
        raise fault(
            shown(folder),
            "its rows are chosen and ordered by an indices file, as old versions of datasets wrote it",
            "load it and save it again: load_from_disk(FOLDER).flatten_indices().save_to_disk(NEW)",
        )
    return found


def _local(source: Source, path: Path, kind: Kind) -> Located:
    if path.is_dir():
        if source.data_files:
            return _files(source, "folder", _expand(source, source.data_files, path))
        if source.config and (path / source.config).is_dir():
            path = path / source.config
        saved = _saved_splits(path)
        if saved:
            return _by_split(source, "saved", saved)
        return _folder(source, path, "folder" if kind == "file" else kind)
    if not os.access(path, os.R_OK):
        raise fault(shown(path), "the file may not be read", "check its permissions")
    if not path.is_file():
        raise fault(shown(path), "this is neither a file nor a folder", "")
    return _files(source, kind, [path])


def _saved_splits(path: Path) -> dict[str, list[File]]:
    """Split -> files of a `save_to_disk` folder; a data set without splits has the one split ""."""
    if (path / "state.json").is_file():
        return {"": _as_arrow(saved_files(path))}
    try:
        names = json.loads((path / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
    except (OSError, ValueError, KeyError, TypeError):
        names = [entry.name for entry in sorted(path.iterdir()) if (entry / "state.json").is_file()]
    return {name: _as_arrow(saved_files(path / name)) for name in names}


def _as_arrow(paths: Iterable[Path]) -> list[File]:
    return [File(path, "arrow", shown(path)) for path in paths]


def _folder(source: Source, path: Path, kind: Kind) -> Located:
    found: dict[str, list[str]] = {}
    for file in sorted(path.rglob("*")):
        relative = file.relative_to(path)
        form = format_of(file)
        if form and file.is_file() and not any(_NOT_DATA.search(part) for part in relative.parts):
            found.setdefault(form, []).append(relative.as_posix())
    if not found:
        inside = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
        raise fault(
            shown(path), f"no file in this folder can be read as rows (it holds {inside})", f"readable: {READABLE}"
        )
    if len(found) > 1:
        most = max(found, key=lambda form: len(found[form]))
        kinds = ", ".join(f"{len(names)} {form} ({names[0]}, …)" for form, names in found.items())
        raise fault(
            shown(path),
            f"the folder mixes kinds of files: {kinds}",
            f'name one kind: path: "{shown(path)}/**/*.{most}*"',
        )
    (names,) = found.values()
    by_split = splits.of_files(names)
    wanted = {term.name for term in parse_split(source)}
    for name in wanted - set(by_split):
        if matched := splits.files_for(name, names):
            by_split[name] = matched
    every = {split: [file_at(path / name) for name in members] for split, members in by_split.items()}
    return _by_split(source, kind, every or {"": [file_at(path / name) for name in names]}, others=names)


def _by_split(source: Source, kind: Kind, found: Mapping[str, list[File]], others: Sequence[str] = ()) -> Located:
    """Choose the splits that the source asks for; without a wish `train`, or what is there when it is one thing."""
    terms = parse_split(source)
    notes: list[str] = []
    if not terms:
        train = [name for name in found if "train" in name]
        if "train" in found or len(train) == 1 or len(found) == 1:
            chosen = "train" if "train" in found else (train or list(found))[0]
        else:
            raise fault(source.label, f"which split? It has {', '.join(sorted(found))}", "name one: split: NAME")
        terms = (splits.Slice(chosen),)
        if chosen and len(found) > 1:
            notes.append(f"{source.label}: read the split {chosen}; not {', '.join(sorted(set(found) - {chosen}))}")
    if set(found) == {""}:  # no splits: everything is `train`, as `datasets` has it
        found = {"": found[""], "train": found[""]}
    parts = []
    for term in terms:
        if term.name not in found:
            known = ", ".join(sorted(name for name in found if name))
            raise fault(source.label, f'there is no split "{term.name}"', f"it has {known}")
        parts.append(Part(tuple(found[term.name]), term))
    used = {file.path for part in parts for file in part.files}
    unnamed = len(others) - len({file.path for files in found.values() for file in files})
    if unnamed > 0 and used:
        notes.append(f"{source.label}: {unnamed} files belong to no split by their names and were not read")
    return Located(source, kind, tuple(parts), tuple(notes))


def _files(source: Source, kind: Kind, paths: Sequence[Path]) -> Located:
    """Files that were named: one split, called `train`, unless the names tell several."""
    files = [file_at(path) for path in paths]
    terms = parse_split(source)
    names = [file.path.as_posix() for file in files]
    found = {"": files}
    if len(files) > 1 and terms and {term.name for term in terms} != {"train"}:
        found = {
            split: [file for file in files if file.path.as_posix() in members]
            for split, members in splits.of_files(names).items()
        } or found
    if (
        len(files) == 1
        and terms
        and terms[0].name != "train"
        and terms[0].name in splits.of_files([files[0].path.name])
    ):
        found = {terms[0].name: files}  # `split: test` of a file that is called test.jsonl
    return _by_split(source, kind, found)


def _expand(source: Source, patterns: Iterable[str], base: Path) -> list[Path]:
    paths: list[Path] = []
    for pattern in patterns:
        full = str(base / os.path.expanduser(pattern))
        matched = sorted(Path(name) for name in glob.glob(full, recursive=True) if os.path.isfile(name))
        if not matched and Path(full).is_file():
            matched = [Path(full)]  # a name that holds a glob character
        if not matched:
            raise (
                _missing(source, Path(full))
                if not glob.has_magic(full)
                else fault(source.label, f'no file matches "{full}"', f"working directory: {Path.cwd()}")
            )
        paths += [path for path in matched if path not in paths]
    return paths


def _missing(source: Source, path: Path) -> DataError:
    folder = path.parent
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.8)
    if near:
        hint = f"did you mean {' or '.join(str(folder / name) for name in near)}?"
    elif not folder.is_dir():
        hint = f"the folder {folder} does not exist either; relative paths start at {Path.cwd()}"
    else:
        hint = f"relative paths start at {Path.cwd()}"
    return fault(source.label, f'there is no file or folder "{path}"', hint)
