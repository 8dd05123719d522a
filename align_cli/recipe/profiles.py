"""Profiles: the defaults and behaviours an old recipe relied on without naming them.

One TOML file a profile. Which one applies follows from the words a recipe uses, unless it or the command line says.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
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

#: Profiles whose trl knew one key of `dataset_kwargs` only, `skip_prepare_dataset`.
_KWARGS_UNREAD = frozenset({"handbook-2025", "trl"})
#: Words that the Handbook's recipes kept in 2025, when trl read them.
_WORDS_OF_2025 = frozenset({"hub_model_revision", "preprocessing_num_workers"})

#: Word of `mixture.clean` -> what is said where a profile sets it.
NOTES_OF_CLEANING = {
    "decontaminate_humaneval": "rows that hold a text of HumanEval are left out, as the Handbook did it; "
    "mixture.clean.decontaminate_humaneval: false keeps them"
}


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """What a profile brings back."""

    values: dict[str, Any]
    """Keys where the recipe is silent, or says null."""
    behaviours: dict[str, Any]
    """What has no key."""
    clean: dict[str, Any]
    """Words of `mixture.clean`, for a recipe that says nothing of them."""


def apply(
    name: str,
    task: str,
    values: Mapping[str, Any],
    mixture: Mixture,
    notes: list[Note],
    stem: str,
) -> Restored:
    """What the profile restores for a recipe with these values; adds to `notes`.

    `stem` is the recipe file's name without its extension; a run folder may be named after it.
    """
    document = _read(name)
    parts: dict[str, dict[str, Any]] = {"defaults": {}, "behaviours": {}, "clean": {}}
    for scope in ("all", task):
        for part, found in parts.items():
            found.update(document.get(scope, {}).get(part, {}))
    restored = {key: value for key, value in parts["defaults"].items() if values.get(key) is None}
    behaviours = parts["behaviours"]
    if restored.get("output_dir") == "@named":
        restored["output_dir"] = f"runs/{task}-{stem}" if stem else f"runs/{task}"
    for behaviour, value in list(behaviours.items()):
        if isinstance(value, str) and value.startswith("@"):  # @KEY: where the recipe itself sets that key
            if values.get(value[1:]) is None:
                del behaviours[behaviour]
            else:
                behaviours[behaviour] = True
    _dataset_kwargs(name, values, behaviours, notes)
    _alpha(name, values, restored, notes)
    _evaluation(name, values, mixture, restored, notes)
    return Restored(values=restored, behaviours=dict(sorted(behaviours.items())), clean=parts["clean"])


def _dataset_kwargs(profile: str, values: Mapping[str, Any], behaviours: dict[str, Any], notes: list[Note]) -> None:
    """Two keys of `dataset_kwargs` that trl does not read any more steer the tokenisation here."""
    kwargs = values.get("dataset_kwargs")
    if not isinstance(kwargs, dict):
        return
    for word, behaviour in (("add_special_tokens", "add_special_tokens"), ("append_concat_token", "append_eos")):
        if word not in kwargs:
            continue
        wanted = bool(kwargs.pop(word))
        if profile in _KWARGS_UNREAD:
            said = f"dataset_kwargs.{word} is ignored: the trl of the profile {profile} did not read it"
        else:
            behaviours[behaviour] = wanted
            said = f"dataset_kwargs.{word} is the behaviour {behaviour}: {str(wanted).lower()}"
        notes.append(Note("dataset_kwargs", said))


def _alpha(name: str, values: Mapping[str, Any], restored: dict[str, Any], notes: list[Note]) -> None:
    """Up to trl 0.19 the score of the alpha divergence was (1 - u^-a) / a; today it is (u^(a - 1) - 1) / (a - 1)."""
    old = values.get("f_alpha_divergence_coef")
    if name.startswith("handbook") and old is not None:
        restored["f_alpha_divergence_coef"] = now = 1 - old
        said = f"f_alpha_divergence_coef: {old:g} is {now:g} in today's formula, which counts it the other way round"
        notes.append(Note("f_alpha_divergence_coef", said))


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
