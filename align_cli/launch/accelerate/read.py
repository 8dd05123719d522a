"""One file of `accelerate config`: what it says in our words, what has to reach the trainer, what cannot be honoured.

Every key is translated, already so (nothing is said), not honoured (a note), or refused (a problem); none is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align_cli.errors import RecipeError
from align_cli.launch.accelerate import meanings, table
from align_cli.launch.accelerate.said import Found, Said
from align_cli.launch.accelerate.table import Rule
from align_cli.recipe import provenance
from align_cli.recipe.provenance import Document, Key
from align_cli.recipe.schema import Note


@dataclass(frozen=True, kw_only=True, slots=True)
class Foreign:
    """What a file of accelerate says."""

    launch: Mapping[str, Any]
    """Words of our `launch:` block, not yet typed."""
    trainer: Mapping[str, Any]
    """Keys of the trainer; they hold where the recipe says nothing."""
    env: Mapping[str, str]
    """Environment variables; they hold where the recipe sets none."""
    notes: tuple[Note, ...]
    places: Mapping[str, str]
    """`launch.WORD`, trainer key or variable -> `file:line`."""


def read(path: Path, shown: str = "") -> Foreign:
    """Read a file (YAML or JSON); `shown` is what the user called it.

    Raises:
        RecipeError: there is no such file, or it has keys that are unknown or cannot be run from here.
    """
    shown = shown or str(path)
    said = Said(_document(path, shown), path.parent)
    _read(said)
    problems = [*said.document.problems, *said.problems]
    if problems:
        count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
        raise RecipeError(f"{shown} has {count}", problems=problems)
    return Foreign(launch=said.launch, trainer=said.trainer, env=said.env, notes=tuple(said.notes), places=said.places)


def _document(path: Path, shown: str) -> Document:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        preset = table.preset_for(shown)
        hint = f"launch: {{preset: {preset}}} is the shipped block for it" if preset else "accelerate config writes one"
        raise RecipeError(f"there is no file {shown} of accelerate", hint=hint) from None
    except (OSError, ValueError) as error:
        raise RecipeError(f"{shown} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    document = provenance.parse(text, shown)
    if not document.tree:
        found = [problem for problem in document.problems if "recipe" not in problem.message]
        hint = "such a file is lines of key: value; accelerate config writes one"
        raise RecipeError(f"{shown} is not a file of accelerate config", problems=found, hint=hint)
    return document


def _read(said: Said) -> None:
    tree = said.document.tree
    refused = [rule for (_, name), rule in table.rules().items() if rule.refuse and speaks(rule, tree.get(name))]
    for rule in refused:
        said.problem((rule.name,), f"{rule.name}: {rule.refuse}", rule.hint)
    if refused:
        return  # the other keys are those of another kind of file
    if "distributed_type" in tree:
        rule = table.rules()["", "distributed_type"]
        meanings.distributed_type(said, Found(rule, ("distributed_type",), tree["distributed_type"]))
    else:
        said.problem((), "it names no distributed_type", f"one of {', '.join(table.strategies())}")
    used = {"DEEPSPEED": "deepspeed_config", "FSDP": "fsdp_config"}.get(meanings.kind_of(said))
    for name, value in tree.items():
        if name == "distributed_type":
            continue
        if name not in table.SECTIONS:
            _key(said, "", str(name), (name,), value)
        elif name in ("deepspeed_config", "fsdp_config") and name != used:
            if value:
                said.note((name,), f"{name} has no effect: distributed_type is {meanings.kind_of(said)}")
        elif value is not None and not isinstance(value, dict):
            said.problem((name,), f"{name} must be a mapping")
        else:
            for inner, item in (value or {}).items():
                _key(said, str(name), _in_full(str(name), str(inner)), (name, inner), item)


def _in_full(section: str, name: str) -> str:
    """A key of a section with the section's prefix, which trainers' own `fsdp_config` lacks."""
    prefix = {"fsdp_config": "fsdp_", "parallelism_config": "parallelism_config_"}.get(section, "")
    return prefix + name if (section, prefix + name) in table.rules() else name


def _key(said: Said, section: str, name: str, key: Key, value: Any) -> None:
    rule = table.rules().get((section, name))
    if rule is None:
        said.problem(key, f"unknown key {provenance.dotted(key)}", table.suggestion(section, name))
        return
    if value is None or value in ("", [], {}):
        return
    found = Found(rule, key, value)
    if rule.special:
        meanings.MEANINGS[rule.special](said, found)
    elif rule.launch:
        said.set_launch(rule.launch, value, key)
    elif rule.fsdp:
        said.set_fsdp(rule.fsdp, value, key)
    elif rule.env:
        said.set_env(rule.env, found.word, key)
    elif rule.note and speaks(rule, value):
        said.note(key, f"{found.name}: {found.word} is not honoured: {rule.note}")


def speaks(rule: Rule, value: Any) -> bool:
    """Whether a value is one to speak about: not null, empty or false, and none of the rule's `unless`."""
    if value is None or value is False or value in ("", [], {}, 0, "false", "False", "no", "NO", "none"):
        return False
    return str(value) not in map(str, rule.unless)
