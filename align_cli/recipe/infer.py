"""Which task a recipe is for, when nobody says: from where it lies, what it is called, and telling keys."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import PurePath

#: Words in a path -> task. Folders of the Handbook, scripts of the Handbook and of trl.
_WORDS = {
    "sft": "sft",
    "dpo": "dpo",
    "orpo": "orpo",
    "cpt": "cpt",
    "pretraining": "cpt",
    "kto": "kto",
    "reward": "reward",
    "rm": "reward",
    "apo": "dpo",
    "ipo": "dpo",
}
#: Keys that only one task has, most telling first.
_KEYS = (
    ("cpt", {"text_column"}),
    ("kto", {"desirable_weight", "undesirable_weight"}),
    ("reward", {"center_rewards_coefficient"}),
    ("orpo", {"max_completion_length", "disable_dropout"}),
    (
        "dpo",
        {"loss_weights", "precompute_ref_log_probs", "rpo_alpha", "sync_ref_model", "f_divergence_type", "ld_alpha"},
    ),
    ("dpo", {"beta"}),
    (
        "sft",
        {"max_seq_length", "packing", "packing_strategy", "assistant_only_loss", "completion_only_loss", "eos_token"},
    ),
)


def task_of(path: str, keys: Iterable[str], plugins: Collection[str] = ()) -> str | None:
    """The task's name, or None when nothing tells. The nearest folder counts more than those above it.

    `plugins` are further names of tasks to look for in the path.
    """
    parts = PurePath(path).parts
    # The folder says more than the file: `dpo/config_sft_model.yaml` is for DPO.
    for part in (*reversed(parts[:-1]), *parts[-1:]):
        for name in filter(None, plugins):
            if re.search(rf"(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])", part, re.IGNORECASE):
                return name
        for word in re.split(r"[^a-z0-9]+", part.lower()):
            if word in _WORDS:
                return _WORDS[word]
    present = set(keys)
    for task, telling in _KEYS:
        if telling & present:
            return task
    return None
