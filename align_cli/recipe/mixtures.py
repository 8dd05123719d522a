"""Every spelling of a recipe's data as one `mixture:` tree.

Five spellings exist: our own `mixture:`, the Handbook's `dataset_mixer` (2023) and `dataset_mixture` (2025), and
trl's `datasets:` and `dataset_name`. Each keeps its own arithmetic through `combine`; what its author could not have
meant becomes a note.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from align_cli.errors import Problem
from align_cli.recipe.provenance import Key
from align_cli.recipe.spellings import Data, Translator

#: Spelling -> its keys; the first of each is the one that says "this is my data". Earlier spellings win.
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "mixture": ("mixture",),
    "dataset_mixture": ("dataset_mixture",),
    "datasets": ("datasets", "streaming", "test_split_size"),
    "dataset_mixer": ("dataset_mixer", "dataset_splits", "dataset_configs"),
    "dataset_name": (
        "dataset_name",
        "dataset_config",
        "dataset_train_split",
        "dataset_test_split",
        "dataset_streaming",
    ),
}
DATA_KEYS = frozenset(key for keys in FAMILIES.values() for key in keys)


def family_of(tree: Mapping[str, Any]) -> str:
    """Which spelling a recipe uses; empty when it names no data."""
    given = [name for name in FAMILIES if tree.get(name) not in (None, [], {})]
    if given[:1] == ["mixture"] and len(given) > 1 and only_adds(tree["mixture"]):
        del given[0]
    return given[0] if given else ""


def only_adds(mixture: Any) -> bool:
    """Whether a `mixture:` block says nothing of where rows come from, so that it may stand beside another spelling."""
    return isinstance(mixture, Mapping) and not {"sources", "eval"} & set(mixture)


def translate(tree: Mapping[str, Any], task: str, where: Callable[[Key], str]) -> Data:
    """The data of a recipe, as a tree for the `mixture:` block; `tree` is not changed."""
    family = family_of(tree)
    data = Data()
    added = tree.get("mixture") if family != "mixture" and only_adds(tree.get("mixture")) else None
    others = [name for name in FAMILIES if name != family and tree.get(name) not in (None, [], {})]
    if added:
        others.remove("mixture")
    for other in others:
        if other == "dataset_name" and family in {"dataset_mixture", "datasets"}:
            data.notes.append(((other,), f"dataset_name is ignored: {family} says what the data are"))
        else:
            said = f"{family} and {other} both say what the data are"
            data.problems.append(Problem(said, where((other,)), "keep one of the two"))
    if family == "mixture":
        data.tree = tree["mixture"]
    elif family:
        Translator(tree, task, where, data).run(family)
        data.tree.update(added or {})
    for name, keys in FAMILIES.items():
        if name != family and name not in others and not (added and name == "mixture"):
            for key in keys:
                if tree.get(key) is not None and key not in FAMILIES.get(family, ()):
                    data.notes.append(((key,), f"{key} is ignored: it belongs to {name}, which is not given"))
    return data
