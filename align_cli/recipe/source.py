"""Dataclass fields from source code: parse, follow imports and base classes, never import.

Only what the installed config classes need: literals, `field(default=…)`, `field(default_factory=…)`, enums whose
values are strings, and classes re-exported by a package's `__init__`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from align_cli.errors import PluginError
from align_cli.packages import file_of, root_of

#: What to do when an installed package is not as a task expects it.
DOCTOR = "align doctor shows the installed versions and the ones that are known to work"


@dataclass(frozen=True, slots=True)
class RawField:
    """A field as the source says it, before `align` groups it."""

    name: str
    annotation: str
    default: Any
    static: bool
    help: str
    choices: tuple[str, ...]
    owner: str


@dataclass(frozen=True, slots=True)
class _Module:
    name: str
    path: Path
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


class Reader:
    """Reads classes; `read` lists every file it opened."""

    def __init__(self) -> None:
        self.read: list[Path] = []
        self._modules: dict[str, _Module | None] = {}

    def fields(self, module: str, name: str) -> list[RawField]:
        """Fields of a dataclass in dataclass order: the bases' first, overridden ones in their first place.

        Raises:
            PluginError: the class cannot be found.
        """
        found = self._find(module, name)
        if found is None:
            raise PluginError(
                f"{module}:{name} is not in the installed package {module.partition('.')[0]}", hint=DOCTOR
            )
        result: dict[str, RawField] = {}
        self._collect(*found, result)
        return list(result.values())

    def _collect(self, module: _Module, node: ast.ClassDef, result: dict[str, RawField]) -> None:
        for base in reversed(node.bases):
            if isinstance(base, ast.Name) and (found := self._find(module.name, base.id)):
                self._collect(*found, result)
        documented = _documented(ast.get_docstring(node) or "")
        for name, help_ in documented.items():  # a subclass may document anew what it does not redeclare
            if name in result and not result[name].help:
                result[name] = replace(result[name], help=help_)
        for index, statement in enumerate(node.body):
            if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
                continue
            annotation = ast.unparse(statement.annotation).strip("'\"")
            if annotation.startswith(("ClassVar", "InitVar", "typing.ClassVar")):
                continue
            name = statement.target.id
            below = node.body[index + 1] if index + 1 < len(node.body) else None
            field = self._field(module, node, statement, annotation, _string(below), documented.get(name, ""))
            if field is not None:
                result[name] = field

    def _field(
        self, module: _Module, owner: ast.ClassDef, statement: ast.AnnAssign, annotation: str, below: str, doc: str
    ) -> RawField | None:
        assert isinstance(statement.target, ast.Name)
        default, static, help_ = None, False, ""
        choices: tuple[str, ...] = ()
        value = statement.value
        if isinstance(value, ast.Call) and _called(value) == "field":
            given = {keyword.arg: keyword.value for keyword in value.keywords}
            if "init" in given and _literal(given["init"]) == (False, True):
                return None
            if "default" in given:
                default, static = _literal(given["default"])
            elif "default_factory" in given:
                default, static = _made(given["default_factory"])
            metadata = given.get("metadata")
            if isinstance(metadata, ast.Dict):
                help_, choices = _metadata(metadata)
        elif value is not None:
            default, static = _literal(value)
        text = _one_line(help_ or doc or below).replace("%%", "%")
        return RawField(
            name=statement.target.id,
            annotation=annotation,
            default=default,
            static=static,
            help=text,
            choices=choices or self._choices(module, statement.annotation) or _choices_in(text),
            owner=f"{module.name}:{owner.name}",
        )

    def _choices(self, module: _Module, annotation: ast.expr) -> tuple[str, ...]:
        """Strings that a `Literal[…]` or a string enum in the annotation allows."""
        if isinstance(annotation, ast.Name) and (alias := _alias(module.tree, annotation.id)) is not None:
            annotation = alias
        names = [part for part in _alternatives(annotation) if not _is_none(part)]
        for part in names:
            if isinstance(part, ast.Subscript) and isinstance(part.value, ast.Name) and part.value.id == "Literal":
                values = part.slice.elts if isinstance(part.slice, ast.Tuple) else [part.slice]
                texts = [value.value for value in values if isinstance(value, ast.Constant)]
                if len(names) == 1 and all(isinstance(text, str) for text in texts):
                    return tuple(str(text) for text in texts)
            if isinstance(part, ast.Name) and part.id[:1].isupper() and (found := self._find(module.name, part.id)):
                values_of_enum = _enum_values(found[1])
                if values_of_enum:
                    return values_of_enum
        return ()

    def _find(self, module_name: str, name: str, depth: int = 0) -> tuple[_Module, ast.ClassDef] | None:
        module = self._module(module_name)
        if module is None or depth > 8:
            return None
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return module, node
        for node in _imports(module.tree):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return self._find(_absolute(module, node), alias.name, depth + 1)
        return None

    def _module(self, name: str) -> _Module | None:
        if name not in self._modules:
            self._modules[name] = self._parse(name)
        return self._modules[name]

    def _parse(self, name: str) -> _Module | None:
        for path in _files_of(name):
            if path.is_file():
                self.read.append(path)
                try:
                    return _Module(name, path, ast.parse(path.read_bytes()))
                except (SyntaxError, ValueError) as error:
                    where = f"{path}:{getattr(error, 'lineno', None) or 1}"
                    raise PluginError(f"{where}: this is no Python that can be read: {error}") from error
        return None


def _files_of(module: str) -> list[Path]:
    """Where the source of a module may lie."""
    root = root_of(module)
    if root is None:
        single = file_of(module) if "." not in module else None
        return [single] if single else []
    inner = root.joinpath(*module.split(".")[1:])
    return [inner / "__init__.py", inner.with_suffix(".py")]


def _imports(tree: ast.Module) -> Iterator[ast.ImportFrom]:
    """`from … import …` at the top and inside top-level `if`/`try` (lazy packages import for type checkers only)."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If | ast.Try):
            waiting = [*node.body, *node.orelse, *waiting]


def _alias(tree: ast.Module, name: str) -> ast.expr | None:
    """What `Name = Literal[…]` at the top of a module stands for."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            return node.value
    return None


def _absolute(module: _Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.package.split(".")
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, node.module] if node.module else parts)


def _alternatives(annotation: ast.expr) -> list[ast.expr]:
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return [*_alternatives(annotation.left), *_alternatives(annotation.right)]
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) in {"Optional", "Union"}:
        inner = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        return [part for item in inner for part in _alternatives(item)]
    return [annotation]


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _enum_values(node: ast.ClassDef) -> tuple[str, ...]:
    if not any("Enum" in ast.unparse(base) for base in node.bases):
        return ()
    values = [item.value for item in node.body if isinstance(item, ast.Assign)]
    return tuple(value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str))


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _literal(node: ast.expr) -> tuple[Any, bool]:
    """The value, and whether the source says it literally."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return None, False
    return list(value) if isinstance(value, tuple | set) else value, True


def _made(factory: ast.expr) -> tuple[Any, bool]:
    if isinstance(factory, ast.Lambda):
        return _literal(factory.body)
    if isinstance(factory, ast.Name) and factory.id in {"list", "dict", "tuple"}:
        return ({} if factory.id == "dict" else []), True
    return None, False


def _metadata(node: ast.Dict) -> tuple[str, tuple[str, ...]]:
    help_ = ""
    choices: tuple[str, ...] = ()
    for key, value in zip(node.keys, node.values, strict=True):
        if not isinstance(key, ast.Constant):
            continue
        literal, known = _literal(value)
        if key.value == "help" and known:
            help_ = str(literal)
        elif key.value == "choices" and known:
            choices = tuple(str(choice) for choice in literal)
    return help_, choices


_POSSIBLE = re.compile(r"Possible values are:? ([^.]*)")


def _choices_in(text: str) -> tuple[str, ...]:
    """What a documentation lists, quoted, as possible values: "Possible values are: `'a'`, `'b'`."."""
    found = _POSSIBLE.search(text)
    return tuple(re.findall(r"`'?(\w+)'?`", re.sub(r"\([^)]*\)", "", found[1]))) if found else ()


def _string(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return node.value.value
    return ""


_ENTRY = re.compile(r"^(\s*)(\w+) ?\(.*\):\s*$|^(\s*)(\w+):\s*$")


def _documented(docstring: str) -> dict[str, str]:
    """Texts of a docstring's `Parameters:` / `Args:` section by name."""
    texts: dict[str, list[str]] = {}
    current, depth, inside = None, 0, False
    for line in docstring.splitlines():
        if line.strip() in {"Parameters:", "Args:", "Arguments:", "Attributes:"}:
            inside, current = True, None
            continue
        if not inside or not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        entry = _ENTRY.match(line)
        if entry and (current is None or indent <= depth):
            current, depth = entry[2] or entry[4], indent
            texts[current] = []
        elif indent == 0:
            inside = False
        elif line.strip().startswith(">"):
            current = None
        elif current is not None and indent > depth:
            texts[current].append(line.strip())
    return {name: " ".join(lines) for name, lines in texts.items()}


def _one_line(text: str) -> str:
    return " ".join(text.split())
