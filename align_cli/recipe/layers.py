"""Files and overrides laid on top of each other, each key remembering where it was written.

A recipe may extend another (`extends:`), which may extend a third. Blocks of ours are merged key by key; every other
key replaces the one below. A layer that names its data in one spelling replaces data in another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from align_cli.errors import Problem, RecipeError
from align_cli.recipe import mixtures, paths, provenance, renames, shipped
from align_cli.recipe.fields import Field
from align_cli.recipe.overrides import Override
from align_cli.recipe.provenance import Document, Key
from align_cli.recipe.schema import Origin

_MERGED = frozenset({"mixture", "launch", "env"})
_SINGULAR = frozenset({"extends"})


@dataclass(slots=True)
class Stack:
    """All layers as one tree."""

    tree: dict[str, Any] = field(default_factory=dict)
    origins: dict[Key, Origin] = field(default_factory=dict)
    texts: dict[Key, str] = field(default_factory=dict)
    folders: dict[Key, Path] = field(default_factory=dict)
    """Folder of the file in which a key was written; absent for the command line."""
    env: dict[str, str] = field(default_factory=dict)
    old: set[str] = field(default_factory=set)
    notes: list[tuple[str, str, str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    """Old word -> the key that holds its value now, for interpolations that still use the word."""
    after: list[Override] = field(default_factory=list)
    """Overrides of `mixture.…` for a recipe that spells its data otherwise: they wait for the translation."""
    text: str = ""
    unreadable: bool = False
    """Some file is not YAML, or not a mapping."""

    def origin(self, key: Key) -> Origin:
        """Where a key was written; the nearest key above it when it was not written itself."""
        while key and key not in self.origins:
            key = key[:-1]
        return self.origins.get(key, Origin("default"))

    def where(self, key: Key) -> str:
        """The place of a key for a message."""
        return self.origin(key).place

    def folder(self, key: Key) -> Path | None:
        """The folder beside which a relative path of this key may lie."""
        while key and key not in self.origins:
            key = key[:-1]
        return self.folders.get(key)

    def rename(self, came_from: Mapping[Key, Key]) -> None:
        """Let new keys inherit the places of those they were made from."""
        for new, written in came_from.items():
            self.origins[new] = self.origin(written)
            folder = self.folder(written)
            if folder is not None:
                self.folders[new] = folder

    def override_mixture(self, tree: Any, problems: list[Problem]) -> Any:
        """Lay the waiting `mixture.…` overrides on the translated data."""
        holder = {"mixture": tree if tree is not None else {}}
        for override in self.after:
            _set(holder, override, problems)
            self.origins[override.path] = Origin("command line", override.words)
            self.folders.pop(override.path, None)
        return holder["mixture"]


def read_stack(recipe: str | None, overrides: Sequence[Override], fields: Mapping[str, Field], task: str) -> Stack:
    """Read a recipe with everything it extends, and lay the overrides on top.

    Raises:
        RecipeError: the file cannot be read at all.
    """
    stack = Stack()
    if recipe is not None:
        path = Path(recipe)
        if not paths.is_there(recipe):
            path = shipped.find(recipe) or path
        chain = _chain(path, recipe, stack)
        stack.text = chain[0][0].text
        for index, (document, folder) in reversed(list(enumerate(chain))):
            _lay(stack, document, folder, "file" if index == 0 else "extends", fields, task)
    _override(stack, overrides, fields, task)
    for name, value in (stack.tree.get("env") or {}).items() if isinstance(stack.tree.get("env"), dict) else ():
        if value is not None:
            stack.env[str(name)] = stack.texts.get(("env", name), str(value))
    if "env" in stack.tree and not isinstance(stack.tree["env"], dict | None):
        stack.problems.append(
            Problem("env must be a mapping of variables", stack.where(("env",)), "env: {NAME: value}")
        )
        stack.tree["env"] = {}
    return stack


def _chain(path: Path, shown: str, stack: Stack) -> list[tuple[Document, Path]]:
    """The recipe first, then what it extends."""
    chain: list[tuple[Document, Path]] = []
    seen: list[Path] = []
    while True:
        document = provenance.read(path, shown)
        stack.problems += document.problems
        stack.unreadable |= bool(document.problems) and not document.tree
        chain.append((document, path.resolve().parent))
        seen.append(path.resolve())
        base = document.tree.pop("extends", None)
        if base is None:
            return chain
        where = str(document.place(("extends",)))
        if not isinstance(base, str):
            stack.problems.append(Problem("extends: expected one path or shipped name", where))
            stack.unreadable = True
            return chain
        found = path.parent / base
        by_name = None if paths.is_there(str(found), "file") else shipped.find(base)
        found = by_name or found
        if not paths.is_there(str(found), "file"):
            hint = renames.suggestion(base, shipped.names()) or "a path beside this file, or a name of align recipe ls"
            stack.problems.append(Problem(f"extends: there is no recipe {base}", where, hint))
            stack.unreadable = True
            return chain
        if found.resolve() in seen:
            names = " -> ".join(file.name for file in [*seen, found])
            stack.problems.append(Problem(f"extends goes in a circle: {names}", where))
            stack.unreadable = True
            return chain
        path, shown = found, base if by_name else _shown(found)


def _shown(path: Path) -> str:
    if (name := shipped.name_of(path)) is not None:
        return name  # an installed package's path says less, at greater length
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _lay(stack: Stack, document: Document, folder: Path, kind: Any, fields: Mapping[str, Field], task: str) -> None:
    layer = renames.Layer(document.tree, lambda key: str(document.place(key)))
    renames.translate(layer, fields, task)
    places = {key: Origin(kind, str(place)) for key, place in document.places.items()}
    _merge(stack, layer, places, dict(document.texts), folder)


def _merge(
    stack: Stack, layer: renames.Layer, places: dict[Key, Origin], texts: dict[Key, str], folder: Path | None
) -> None:
    for new, written in layer.moved.items():
        if written in places:
            places[new] = places[written]
        if written in texts:
            texts[new] = texts[written]
    family = mixtures.family_of(layer.tree)
    if family and not (family == "mixture" and mixtures.only_adds(layer.tree["mixture"])):
        for name, keys in mixtures.FAMILIES.items():
            if name != family and name not in layer.tree:
                for key in keys:
                    stack.tree.pop(key, None)
    for key, value in layer.tree.items():
        below = stack.tree.get(key)
        if key in _MERGED and isinstance(below, dict) and isinstance(value, dict):
            for name, item in value.items():
                _forget(stack, (key, name))
                below[name] = item
        else:
            _forget(stack, (key,))
            stack.tree[key] = value
    for place, origin in places.items():
        stack.origins[place] = origin
        if folder is not None:
            stack.folders[place] = folder
        else:
            stack.folders.pop(place, None)
    stack.texts.update(texts)
    stack.env.update(layer.env)
    stack.old |= layer.old
    stack.aliases.update({str(written[0]): str(new[0]) for new, written in layer.moved.items() if len(new) == 1})
    stack.notes += layer.notes
    stack.problems += layer.problems


def _forget(stack: Stack, key: Key) -> None:
    for table in (stack.origins, stack.texts, stack.folders):
        for old in [found for found in table if found[: len(key)] == key]:
            del table[old]


def _override(stack: Stack, overrides: Sequence[Override], fields: Mapping[str, Field], task: str) -> None:
    for override in overrides:
        path = override.path
        origin = Origin("command line", override.words)
        family = mixtures.family_of(stack.tree)
        if path[0] == "extends":
            stack.problems.append(Problem("extends cannot be set here", override.words, "write it in the recipe"))
            continue
        if path[0] == "mixture" and len(path) > 1 and family not in {"", "mixture"}:
            stack.after.append(override)
            continue
        if len(path) == 1:
            value = _value(override, fields)
            layer = renames.Layer({str(path[0]): value}, lambda key, words=override.words: words)  # type: ignore[misc]
            if path[0] == "warmup_ratio":
                stack.tree.pop("warmup_steps", None)  # the command line is newer than the file
            renames.translate(layer, fields, task)
            _merge(stack, layer, {(path[0],): origin}, {}, None)
            continue
        new = renames.target_of(str(path[0]), fields)
        if new and "." not in new:
            path = (new, *path[1:])
        elif path[0] not in fields and path[0] not in mixtures.DATA_KEYS | {"mixture", "launch", "env"}:
            stack.tree.setdefault(str(path[0]), None)  # reported with the other unknown keys
            stack.origins[(path[0],)] = origin
            continue
        _set(stack.tree, Override(provenance.dotted(path), override.text, override.words), stack.problems)
        stack.origins[path] = origin
        stack.origins.setdefault((path[0],), origin)
        stack.folders.pop(path, None)
        stack.texts.pop(path, None)


def _value(override: Override, fields: Mapping[str, Field]) -> Any:
    """A field's text is typed later, by the field; anything else is what YAML reads it as."""
    name = str(override.path[0])
    if name in fields:
        return override.text
    return _read(override.text)


def _set(tree: dict[str, Any], override: Override, problems: list[Problem]) -> None:
    holder: Any = tree
    path = override.path
    for index, part in enumerate(path[:-1]):
        here = provenance.dotted(path[: index + 1])
        if isinstance(holder, list):
            if part == len(holder):
                holder.append({})  # the next entry of a list may be begun here
            if not isinstance(part, int) or part >= len(holder):
                problems.append(Problem(f"{here}: there are {len(holder)} entries, counted from 0", override.words))
                return
            if isinstance(holder[part], str):
                holder[part] = {"path": holder[part]}  # a source may be written as its path alone
            holder = holder[part]
            continue
        if not isinstance(holder, dict):
            problems.append(Problem(f"{here} holds a single value, not a block", override.words))
            return
        part = _same(holder, part)
        if holder.get(part) is None:
            following = path[index + 1]
            holder[part] = [] if isinstance(following, int) else {}
        elif isinstance(holder[part], str) and here in {"mixture", "mixture.sources", "mixture.eval"}:
            holder[part] = [holder[part]] if here != "mixture" else {"sources": holder[part]}
        elif isinstance(holder[part], list) and here == "mixture":
            holder[part] = {"sources": holder[part]}
        holder = holder[part]
    last = path[-1]
    if isinstance(holder, list):
        if not isinstance(last, int) or last > len(holder):
            here = provenance.dotted(path)
            problems.append(Problem(f"{here}: there are {len(holder)} entries, counted from 0", override.words))
        elif last == len(holder):
            holder.append(_read(override.text))
        else:
            holder[last] = _read(override.text)
    elif isinstance(holder, dict):
        holder[_same(holder, last)] = _read(override.text)
    else:
        here = provenance.dotted(path[:-1])
        problems.append(Problem(f"{here} holds a single value, not a block", override.words))


def _same(holder: dict[Any, Any], part: str | int) -> str | int:
    """`0` as a word when the mapping has it as a word."""
    return str(part) if isinstance(part, int) and part not in holder else part


def _read(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


__all__ = ["RecipeError", "Stack", "read_stack"]
