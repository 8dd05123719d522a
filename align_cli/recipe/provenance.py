"""YAML with marks: the tree, and for every key the file and line it was written on.

Values are those of YAML 1.1 as every YAML recipe in the wild is read; the text of each plain scalar is kept beside
them, so that a field of type string gets `007` and `no` as they were written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from align_cli.errors import Problem, RecipeError

Key = tuple[str | int, ...]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SCALARS = {"null", "bool", "int", "float", "str"}


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, or the words of the command line when `line` is 0."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(slots=True)
class Document:
    """One YAML file. `places` and `texts` are addressed by key path, e.g. `("mixture", "sources", 0, "path")`."""

    file: str
    text: str = ""
    tree: dict[str, Any] = field(default_factory=dict)
    places: dict[Key, Place] = field(default_factory=dict)
    texts: dict[Key, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, key: Key) -> Place:
        """Where `key` was written; the nearest key above it when it was not written itself."""
        while key and key not in self.places:
            key = key[:-1]
        return self.places.get(key, Place(self.file))


def read(path: Path, shown: str = "") -> Document:
    """Read and parse a recipe file; `shown` is what the user called it.

    Raises:
        RecipeError: there is no such file, it is a directory, or its bytes are not UTF-8 text.
    """
    shown = shown or str(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise RecipeError(f"there is no recipe {shown}", hint=_near(path) or "align recipe ls") from None
    except IsADirectoryError:
        names = ", ".join(sorted(file.name for file in path.iterdir() if file.suffix in {".yaml", ".yml"})[:5])
        hint = f"it holds {names}" if names else "name a YAML file"
        raise RecipeError(f"{shown} is a directory, not a recipe", hint=hint) from None
    except (OSError, ValueError) as cause:  # no right to read it; no name a file can have
        raise RecipeError(f"{shown} cannot be read: {getattr(cause, 'strerror', None) or cause}") from None
    return parse(_decoded(data, shown), shown)


def parse(text: str, shown: str) -> Document:
    """Parse YAML text. Everything that can be found wrong in one pass is in `problems`; the tree holds the rest."""
    document = Document(file=shown, text=text)
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        document.problems.append(_syntax(error, text, shown))
        return document
    if root is None or root.tag == "tag:yaml.org,2002:null":
        document.problems.append(Problem("the recipe is empty", shown, "align recipe cp copies one to start from"))
    elif not isinstance(root, yaml.MappingNode):
        kind = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
        line = root.start_mark.line + 1
        document.problems.append(Problem(f"a recipe is `key: value` lines, this is {kind}", f"{shown}:{line}"))
    else:
        document.tree = _Builder(document).mapping(root, (), frozenset())
    return document


def leaves(tree: Any, key: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every value that is not a non-empty mapping or list, with its path."""
    if isinstance(tree, dict) and tree:
        for name, value in tree.items():
            yield from leaves(value, (*key, name))
    elif isinstance(tree, list) and tree:
        for index, value in enumerate(tree):
            yield from leaves(value, (*key, index))
    else:
        yield key, tree


def dotted(key: Key) -> str:
    """`("mixture", "sources", 0)` -> `mixture.sources.0`."""
    return ".".join(str(part) for part in key)


class _Builder:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.construct = yaml.constructor.SafeConstructor()

    def value(self, node: yaml.Node, key: Key, above: frozenset[int]) -> Any:
        if id(node) in above:
            self._problem("a list or mapping that contains itself", node)
            return None
        above = above | {id(node)}
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, key, above)
        if isinstance(node, yaml.SequenceNode):
            result = []
            for index, item in enumerate(node.value):
                self._mark((*key, index), item)
                result.append(self.value(item, (*key, index), above))
            return result
        return self._scalar(node, key)

    def mapping(self, node: yaml.MappingNode, key: Key, above: frozenset[int]) -> dict[Any, Any]:
        first: dict[Any, int] = {}
        for name_node, _ in node.value:
            if isinstance(name_node, yaml.ScalarNode):
                line = name_node.start_mark.line + 1
                if name_node.value in first and name_node.value != "<<":
                    where = f"{self.document.file}:{line}"
                    said = f'"{name_node.value}" is given twice, first on line {first[name_node.value]}'
                    self.document.problems.append(Problem(said, where, "keep one of the two"))
                first.setdefault(name_node.value, line)
        try:
            self.construct.flatten_mapping(node)  # `<<: *anchor`
        except yaml.YAMLError as error:
            self._problem(str(getattr(error, "problem", error)), node)
        result: dict[Any, Any] = {}
        for name_node, value_node in node.value:
            if not isinstance(name_node, yaml.ScalarNode):
                self._problem("a key must be a word, not a list or a mapping", name_node)
                continue
            name = self._scalar(name_node, ())
            name = name if isinstance(name, str) or key else name_node.value
            inner = (*key, name)
            self._mark(inner, name_node)
            result[name] = self.value(value_node, inner, above)
        return result

    def _scalar(self, node: yaml.Node, key: Key) -> Any:
        kind = node.tag.rpartition(":")[2]
        if key and not node.style:  # the C parser says "" where the other says None
            self.document.texts[key] = node.value
        if kind not in _SCALARS:
            return node.value  # dates and the like stay text
        try:
            return self.construct.construct_object(node)
        except (yaml.YAMLError, ValueError):
            return node.value

    def _mark(self, key: Key, node: yaml.Node) -> None:
        self.document.places[key] = Place(self.document.file, node.start_mark.line + 1)

    def _problem(self, message: str, node: yaml.Node) -> None:
        where = f"{self.document.file}:{node.start_mark.line + 1}"
        self.document.problems.append(Problem(message, where))


def _decoded(data: bytes, shown: str) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise RecipeError(f"{shown} is UTF-16 text", hint="save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RecipeError(
            f"{shown}:{line}: not UTF-8 text (byte 0x{data[error.start]:02x})", hint="save it as UTF-8"
        ) from None
    return text.replace("\r\n", "\n")


def _syntax(error: yaml.YAMLError, text: str, shown: str) -> Problem:
    mark = getattr(error, "problem_mark", None)
    said = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
    if mark is None:
        position = getattr(error, "position", None)
        line = text.count("\n", 0, position) + 1 if isinstance(position, int) else 0
        return Problem(f"not YAML: {said}", f"{shown}:{line}" if line else shown)
    lines = text.split("\n")
    line = min(mark.line, len(lines) - 1)
    here = lines[line]
    where = f"{shown}:{line + 1}"
    if "\t" in here[: len(here) - len(here.lstrip())] or "'\\t'" in said:
        return Problem("a tab: YAML is indented with spaces", where, "replace the tab with spaces")
    context = getattr(error, "context", None)
    if "expected a single document" in str(context) or "another document" in said:
        return Problem("a second document (`---`): one file holds one recipe", where)
    written = here.strip()
    message = f"not YAML: {said}" + (f' in "{written[:60]}"' if written else "")
    hint = "put the value in quotes" if "mapping values are not allowed" in said else ""
    return Problem(message, where, hint)


def _near(path: Path) -> str:
    import difflib

    from align_cli.recipe import shipped

    known = difflib.get_close_matches(str(path), shipped.names(), n=2, cutoff=0.6)
    if known:
        return f"did you mean {' or '.join(known)}?"
    folder = path.parent if path.parent.is_dir() else None
    names = [file.name for file in folder.iterdir() if file.suffix in {".yaml", ".yml"}] if folder else []
    near = difflib.get_close_matches(path.name, names, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(str(path.parent / name) for name in near)}?" if near else ""
