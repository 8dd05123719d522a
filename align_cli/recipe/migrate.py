"""Rewrite a recipe in today's words, line by line: comments, order and everything that is not old stay as they are."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import yaml

from align_cli.errors import RecipeError
from align_cli.recipe import mixtures, profiles, provenance, renames
from align_cli.recipe.fields import fields_of
from align_cli.recipe.schema import Note, Subject

#: Data spellings that are rewritten; trl's own are today's words.
_OLD_DATA = ("dataset_mixer", "dataset_mixture")


def migrate(text: str, task: Subject) -> tuple[str, list[Note]]:
    """The recipe in today's words, and one note a change. A recipe without old words comes back as it is.

    The new text resolves to the same values, mixture and behaviours: where its words no longer imply the old
    profile, a `profile:` line names it.

    Raises:
        RecipeError: the text is not a recipe.
    """
    document = provenance.parse(text, "recipe")
    if document.problems:
        raise RecipeError("the recipe cannot be read", problems=document.problems)
    original = dict(document.tree)
    layer = renames.Layer(dict(document.tree), lambda key: str(document.place(key)))
    fields = fields_of(task.configs)
    for key, value in layer.tree.items():
        if isinstance(value, dict | list):
            layer.tree[key] = type(value)(value)  # `into` adds to mappings
    renames.translate(layer, fields, task.name)
    if layer.problems:
        raise RecipeError("the recipe contradicts itself", problems=layer.problems)
    profile = original.get("profile") or profiles.infer(layer.tree, layer.old)
    editor = _Editor(document.text)
    family = mixtures.family_of(layer.tree)
    data = mixtures.translate(layer.tree, task.name, lambda key: str(document.place(key)))
    notes = [Note(*note) for note in layer.notes]
    if family in _OLD_DATA:
        if data.problems:
            raise RecipeError("the recipe's data cannot be translated", problems=data.problems)
        notes.append(Note(family, f"{family} is mixture: with combine: {data.tree['combine']} today"))
        notes += [Note(str(key[0]), message) for key, message in data.notes]
    _edit(editor, original, layer, family, data.tree)
    _add_env(editor, original, layer.env)
    result = editor.text()
    if profile != "align" and "profile" not in original and _profile_of(result) != profile:
        result = _with_profile(result, profile)
        notes.append(Note("profile", f"profile: {profile} keeps the defaults the old words implied"))
    return result, notes


def _edit(editor: _Editor, original: dict[str, Any], layer: renames.Layer, family: str, mixture: Any) -> None:
    written_now = {
        new: written
        for new, written in layer.moved.items()
        # A key that is written already gets its new value where it stands, not a second line.
        if new[0] in layer.tree and not (len(new) == 1 and new[0] in editor.entries)
    }
    for key in list(original):
        entry = editor.entries.get(key)
        if entry is None:
            continue  # it came in through a merge key; the anchor's place is rewritten instead
        became = [new for new, written in written_now.items() if written == (key,)]
        if family in _OLD_DATA and key in (*mixtures.FAMILIES[family], "datasets_mixer", "mixture"):
            head = key in (family, "datasets_mixer")
            editor.replace(entry, _mixture_lines(mixture) if head else [])
        elif key in layer.tree:
            if layer.tree[key] != original[key]:
                _rewrite(editor, entry, key, layer.tree[key], original[key], layer)
        elif [new for new in became if len(new) == 1 and layer.tree[str(new[0])] == original[key]]:
            editor.rename(entry, str(became[0][0]))
        elif became:
            editor.replace(entry, _lines_of(became, layer.tree, original), comment=True)
        else:
            editor.replace(entry, [])


def _rewrite(editor: _Editor, entry: _Entry, key: str, value: Any, before: Any, layer: renames.Layer) -> None:
    if isinstance(value, dict) and isinstance(before, dict):
        added = [f"  {name}: {_scalar(item)}" for name, item in value.items() if name not in before]
        editor.append(entry, added)
    else:
        editor.replace(entry, [f"{key}: {_scalar(value)}"], comment=True)


def _lines_of(became: list[tuple[Any, ...]], tree: dict[str, Any], original: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for new in became:
        if len(new) == 1 and not any(len(other) > 1 and other[0] == new[0] for other in became):
            lines.append(f"{new[0]}: {_scalar(tree[str(new[0])])}")
        elif len(new) == 2 and new[0] not in original:
            if f"{new[0]}:" not in lines:
                lines.append(f"{new[0]}:")
            lines.append(f"  {new[1]}: {_scalar(tree[str(new[0])][new[1]])}")
    return lines


def _add_env(editor: _Editor, original: dict[str, Any], env: dict[str, str]) -> None:
    if not env:
        return
    lines = [f"  {name}: {_scalar(value)}" for name, value in env.items()]
    entry = editor.entries.get("env")
    if entry is not None and isinstance(original.get("env"), dict):
        editor.append(entry, lines)
    else:
        editor.finish(["env:", *lines])


def _mixture_lines(mixture: dict[str, Any]) -> list[str]:
    lines = ["mixture:"]
    for name, value in mixture.items():
        if name not in ("sources", "eval"):
            lines.append(f"  {name}: {_scalar(value)}")
    for role in ("sources", "eval"):
        if mixture.get(role):
            lines.append(f"  {role}:")
        for source in mixture.get(role, ()):
            for index, (name, value) in enumerate(source.items()):
                lines.append(f"    {'- ' if index == 0 else '  '}{name}: {_scalar(value)}")
    return lines


_PLAIN = re.compile(r"[A-Za-z_./~][\w./+@-]*( [\w./+@-]+)*")


def _scalar(value: Any) -> str:
    """A value as YAML; JSON is YAML where nothing simpler will do."""
    if isinstance(value, str):
        simple = _PLAIN.fullmatch(value) and yaml.safe_load(value) == value
        return value if simple else json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        text = repr(value)
        return text if "e" not in text or "." in text else text.replace("e", ".0e")  # YAML 1.1 wants the point
    if isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
        return "[" + ", ".join(_scalar(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _profile_of(text: str) -> str:
    return profiles.infer(provenance.parse(text, "recipe").tree, ())


def _with_profile(text: str, profile: str) -> str:
    """The line goes above the first key, below the comment that opens the file."""
    lines = text.split("\n")
    index = 0
    while index < len(lines) and (not lines[index].strip() or lines[index].lstrip().startswith(("#", "---", "%"))):
        index += 1
    while index and lines[index - 1].lstrip().startswith("#") and any(not line.strip() for line in lines[:index]):
        index -= 1  # a comment that belongs to the first key stays with it
    return "\n".join([*lines[:index], f"profile: {profile}", *lines[index:]])


@dataclass(frozen=True, slots=True)
class _Entry:
    """A top-level `key: value`: its lines (last inclusive), and where the key starts and ends."""

    key: str
    first: int
    last: int
    key_end: int
    value_end: int | None
    """Column at which a value on the key's line ends; None for a value on lines of its own."""


class _Editor:
    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self.entries: dict[str, _Entry] = {}
        self._edits: list[tuple[int, int, list[str]]] = []
        self._end: list[str] = []
        loader: Any = yaml.SafeLoader(text)  # marks of the pure loader count characters, also after an emoji
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
        for key, value in root.value if root is not None else ():
            first, last = key.start_mark.line, max(key.end_mark.line, _last_line(value))
            one_line = isinstance(value, yaml.ScalarNode) and value.end_mark.line == first
            end = value.end_mark.column if one_line else None
            self.entries.setdefault(key.value, _Entry(key.value, first, last, key.end_mark.column, end))

    def rename(self, entry: _Entry, new: str) -> None:
        line = self.lines[entry.first]
        start = entry.key_end - len(entry.key)
        if line[start : entry.key_end] != entry.key:  # a quoted key
            start = len(line) - len(line.lstrip())
        changed = line[:start] + new + line[entry.key_end :]
        self._edits.append((entry.first, entry.first + 1, [changed]))

    def replace(self, entry: _Entry, lines: list[str], *, comment: bool = False) -> None:
        if comment and lines and entry.value_end is not None:
            rest = self.lines[entry.first][entry.value_end :]
            lines = [lines[0] + rest.rstrip(), *lines[1:]]
        self._edits.append((entry.first, entry.last + 1, lines))

    def append(self, entry: _Entry, lines: list[str]) -> None:
        self._edits.append((entry.last + 1, entry.last + 1, lines))

    def finish(self, lines: list[str]) -> None:
        self._end += lines

    def text(self) -> str:
        result = list(self.lines)
        for first, end, lines in sorted(self._edits, key=lambda edit: edit[0], reverse=True):
            result[first:end] = lines
        while self._end and result and not result[-1].strip():
            result.pop()
        return "\n".join([*result, *self._end, ""] if self._end else result)


def _last_line(node: yaml.Node) -> int:
    """Last line with text of a node; a block's own end mark lies behind the comments that follow it."""
    if isinstance(node, yaml.MappingNode | yaml.SequenceNode):
        if node.flow_style:
            return int(node.end_mark.line)
        inner = [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
        return max([_last_line(part) for part in inner], default=int(node.start_mark.line))
    end = node.end_mark
    return int(end.line - 1 if end.column == 0 and end.line > node.start_mark.line else end.line)
