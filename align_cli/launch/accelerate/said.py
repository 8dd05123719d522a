"""What a file of accelerate has said so far, while it is read key by key."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from align_cli.errors import Problem
from align_cli.launch.accelerate.table import Rule
from align_cli.recipe import provenance
from align_cli.recipe.provenance import Document, Key
from align_cli.recipe.schema import Note


@dataclass(frozen=True, slots=True)
class Found:
    """One key of the file with its rule and value."""

    rule: Rule
    key: Key
    value: Any

    @property
    def name(self) -> str:
        """The key as written, without its section."""
        return str(self.key[-1])

    @property
    def word(self) -> str:
        """The value as accelerate writes it; YAML 1.1 reads an unquoted `no` as false."""
        if isinstance(self.value, bool):
            return "yes" if self.value else "no"
        return str(self.value).strip()

    @property
    def is_true(self) -> bool:
        """Whether the value switches something on."""
        return self.word.lower() in ("yes", "true", "1")

    @property
    def is_false(self) -> bool:
        """Whether the value switches something off."""
        return self.word.lower() in ("no", "false", "none", "0")


@dataclass(slots=True)
class Said:
    """Values, notes and problems, each with its place."""

    document: Document
    folder: Path
    """Of the file: paths in it are looked for there, too."""
    launch: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)

    def section(self, name: str) -> dict[Any, Any]:
        """One section's keys; empty where there is none."""
        section = self.document.tree.get(name)
        return section if isinstance(section, dict) else {}

    def where(self, key: Key) -> str:
        """`file:line` of a key."""
        return str(self.document.place(key))

    def set_launch(self, word: str, value: Any, key: Key) -> None:
        """One word of our block."""
        self.launch[word] = value
        self.places[f"launch.{word}"] = self.where(key)

    def set_trainer(self, name: str, value: Any, key: Key) -> None:
        """One key of the trainer."""
        self.trainer[name] = value
        self.places[name] = self.where(key)

    def set_fsdp(self, word: str, value: Any, key: Key) -> None:
        """One word of the trainer's `fsdp_config`."""
        self.trainer.setdefault("fsdp_config", {})[word] = value
        self.places.setdefault("fsdp_config", self.where(key))

    def set_env(self, name: str, value: str, key: Key) -> None:
        """One environment variable."""
        self.env[name] = value
        self.places[name] = self.where(key)

    def note(self, key: Key, message: str) -> None:
        """Something that is not honoured."""
        self.notes.append(Note("launch.accelerate_config", message, self.where(key)))

    def problem(self, key: Key, message: str, hint: str = "") -> None:
        """Something that is wrong."""
        self.problems.append(Problem(message, self.where(key), hint))

    def wrong(self, found: Found, expected: str) -> None:
        """A value that is none of those expected."""
        self.problem(found.key, f"{provenance.dotted(found.key)}: expected {expected}, not {quoted(found.value)}")


def quoted(value: Any) -> str:
    """A value for a message."""
    return f'"{value}"' if isinstance(value, str) else str(value)
