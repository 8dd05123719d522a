"""Profiles: the defaults and behaviours an old recipe relied on without naming them.

One TOML file a profile. Which one applies follows from the words a recipe uses, unless it or the command line says.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from align_cli.recipe import mixtures
from align_cli.recipe.schema import Mixture, Note

_FOLDER = Path(__file__).parent / "profiles"

#: How a recipe names its data -> the profile it was written under.
_BY_DATA = {
    "mixture": "align",
    "dataset_mixer": "handbook-2023",
    "dataset_mixture": "handbook-2025",
    "datasets": "trl",
    "dataset_name": "trl",
}
#: Words that only the Handbook's parser of 2023 and 2024 knew.
_WORDS_OF_2023 = frozenset({"use_flash_attention_2", "preprocessing_num_workers", "text_column"})

#: Words that the Handbook's recipes kept in 2025, when trl read them.
_WORDS_OF_2025 = frozenset({"hub_model_revision", "preprocessing_num_workers"})


def names() -> list[str]:
    """All profiles, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def summary(name: str) -> str:
    """One sentence about a profile."""
    return str(_read(name)["summary"])


def infer(tree: Mapping[str, Any], old: Collection[str]) -> str:
    """The profile that a recipe's words imply."""
    family = mixtures.family_of(tree)
    if family == "dataset_name" and (tree.get("chat_template") or _WORDS_OF_2025 & set(old)):
        return "handbook-2025"  # trl's own recipes never had these words
    if family:
        return _BY_DATA[family]
    return "handbook-2023" if _WORDS_OF_2023 & set(old) else "align"


def apply(
    name: str,
    task: str,
    values: Mapping[str, Any],
    mixture: Mixture,
    notes: list[Note],
    stem: str,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Values to restore where the recipe is silent, and behaviours that have no key.

    Adds to `notes`. `stem` is the recipe file's name without its extension; a run folder may be named after it.
    """
    document = _read(name)
    restored: dict[str, Any] = {}
    behaviours: dict[str, Any] = {}
    for part in ("all", task):
        section = document.get(part, {})
        restored.update(section.get("defaults", {}))
        behaviours.update(section.get("behaviours", {}))
    restored = {key: value for key, value in restored.items() if key not in values}
    if restored.get("output_dir") == "@named":
        restored["output_dir"] = f"runs/{task}-{stem}" if stem else f"runs/{task}"
    if behaviours.get("chatml_special_tokens") == "@template":
        behaviours["chatml_special_tokens"] = _asks_for_chatml(task, values)
    _dataset_kwargs(values, behaviours, notes)
    _evaluation(name, values, mixture, restored, notes)
    if behaviours.get("decontaminate_humaneval"):
        said = "the Handbook removed rows that contain HumanEval problems; this version does not do it yet"
        notes.append(Note("decontaminate_humaneval", said))
    if not behaviours.get("chatml_special_tokens", True):
        del behaviours["chatml_special_tokens"]
    return restored, dict(sorted(behaviours.items()))


def _asks_for_chatml(task: str, values: Mapping[str, Any]) -> bool:
    """The Handbook's rule: a ChatML template brings its special tokens, except (in SFT) for a ready tokenizer."""
    if "<|im_start|>" not in str(values.get("chat_template") or ""):
        return False
    named = f"{values.get('model_name_or_path')} {values.get('tokenizer_name_or_path')}"
    return not (task == "sft" and "gemma-tokenizer-chatml" in named)


def _dataset_kwargs(values: Mapping[str, Any], behaviours: dict[str, Any], notes: list[Note]) -> None:
    """Two keys of `dataset_kwargs` that trl does not read any more steer the tokenisation here."""
    kwargs = values.get("dataset_kwargs")
    if not isinstance(kwargs, dict):
        return
    for word, behaviour in (("add_special_tokens", "add_special_tokens"), ("append_concat_token", "append_eos")):
        if word in kwargs:
            wanted = bool(kwargs.pop(word))
            behaviours[behaviour] = wanted
            said = f"dataset_kwargs.{word} is the behaviour {behaviour}: {str(wanted).lower()}"
            notes.append(Note("dataset_kwargs", said))


def _evaluation(
    name: str, values: Mapping[str, Any], mixture: Mixture, restored: dict[str, Any], notes: list[Note]
) -> None:
    """Old recipes ask for evaluation without rows to evaluate on; their scripts crashed, ours goes without."""
    if not name.startswith("handbook") or mixture.eval or mixture.held_out is not None:
        return
    if values.get("eval_strategy", "no") != "no" and mixture.sources:
        restored["eval_strategy"] = "no"
        said = f"eval_strategy: {values['eval_strategy']} is ignored: the recipe names no rows to evaluate on"
        notes.append(Note("eval_strategy", said))
    elif values.get("do_eval") and mixture.sources:
        restored["do_eval"] = False
        notes.append(Note("do_eval", "do_eval is ignored: the recipe names no rows to evaluate on"))


@cache
def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
