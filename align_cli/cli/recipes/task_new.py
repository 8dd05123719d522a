"""`align task new`: a task in a distribution of its own, which installs, tests itself and trains as it is written."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory

from align_cli import __version__, registry
from align_cli.errors import UsageError
from align_cli.files import new_folder, write_text

#: Task to be alike -> the word that its own key ends with.
LIKE = {"sft": "focus", "dpo": "scale"}
_SKELETONS = Path(__file__).parent / "skeletons"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written, and what to type next."""

    name: str
    folder: Path
    files: tuple[str, ...]
    """Below `folder`, sorted."""
    next: tuple[str, ...]
    """Command lines, in order."""


def write(name: str, folder: Path | None, *, like: str) -> Written:
    """Write the distribution of a task called `name` into `folder`, by default `align-NAME` here.

    Raises:
        UsageError: the name is none or is taken, the folder is occupied or cannot be written, nothing is `like` that.
    """
    if like not in LIKE:
        raise UsageError(f'there is no skeleton like "{like}"', hint=f"--like {' or --like '.join(LIKE)}")
    _demand_free(name)
    folder = folder if folder is not None else Path(_distribution(name))
    texts = _texts(name, like)
    try:
        _put(folder, texts)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}", hint="name another folder") from None
    place = shlex.quote(str(folder))
    recipe = shlex.quote(str(folder / f"{name}.yaml"))
    following = (
        f"pip install -e {place}",
        f"align task show {name} {name}_{LIKE[like]}",
        f"align train {name} {recipe} --dry-run",
        f"align train {name} {recipe}",
    )
    return Written(name=name, folder=folder, files=tuple(sorted(texts)), next=following)


def _demand_free(name: str) -> None:
    """Raise unless a task and its package may have this name."""
    if not _NAME.fullmatch(name):
        better = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        hint = "lower-case letters, digits and underscores, beginning with a letter"
        good = _NAME.fullmatch(better)
        raise UsageError(f'"{name}" cannot be the name of a task', hint=hint + (f": {better}" if good else ""))
    for entry in registry.entries(registry.TASKS):
        if entry.name == name:
            raise UsageError(
                f'there is a task "{name}" already, of {entry.distribution or "align itself"}',
                hint="choose another name",
            )
    if find_spec(_package(name)) is not None:
        raise UsageError(f'a package "{_package(name)}" is installed already', hint="choose another name")


def _texts(name: str, like: str) -> dict[str, str]:
    """Path below the folder -> text."""
    words = {
        "name": name,
        "word": LIKE[like],
        "package": _package(name),
        "distribution": _distribution(name),
        **_versions(),
    }
    places = {"__init__.py": f"{_package(name)}/", "task.py": f"{_package(name)}/", "test_task.py": "tests/"}
    names = {"recipe.yaml": f"{name}.yaml", "test_task.py": f"test_{name}.py"}
    texts = {}
    for file in sorted([*(_SKELETONS / "any").iterdir(), *(_SKELETONS / like).iterdir()]):
        plain = file.name.removesuffix(".txt")
        text = Template(file.read_text(encoding="utf-8")).substitute(words)
        texts[places.get(plain, "") + names.get(plain, plain)] = text
    return texts


def _put(folder: Path, texts: dict[str, str]) -> None:
    """All files, or none of them.

    Raises:
        UsageError: something is there already.
        OSError: it cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", hint="name another folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty", hint="name another folder, or move what is in it")
    if not folder.is_dir():
        with new_folder(folder) as work:
            _fill(work, texts)
        return
    # An empty folder may be the one that somebody stands in: it is filled, not replaced.
    with TemporaryDirectory(prefix=".align-", dir=folder) as made:
        _fill(Path(made), texts)
        for child in sorted(Path(made).iterdir()):
            os.rename(child, folder / child.name)


def _fill(folder: Path, texts: dict[str, str]) -> None:
    for place, text in texts.items():
        write_text(folder / place, text)


def _package(name: str) -> str:
    return f"align_{name}"


def _distribution(name: str) -> str:
    return f"align-{name.replace('_', '-')}"


def _versions() -> dict[str, str]:
    """The series of `align` that the task is written for."""
    major, minor = __version__.split(".")[:2]
    return {"at_least": f"{major}.{minor}", "below": f"{major}.{int(minor) + 1}"}
