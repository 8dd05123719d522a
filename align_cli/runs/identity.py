"""Whether two recipes are the same run: what may change between two attempts, and what may not."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from align_cli.errors import Problem
from align_cli.recipe import secrets
from align_cli.recipe.schema import Note, Recipe

#: Keys that change neither the data, the model nor an optimiser step: a run may go on with another value.
_FREE_PREFIXES = ("logging_", "log_", "save_", "eval_", "hub_", "trackio_", "wandb_")
_FREE_KEYS = frozenset(
    {
        "batch_eval_metrics",
        "dataloader_num_workers",
        "dataloader_persistent_workers",
        "dataloader_pin_memory",
        "dataloader_prefetch_factor",
        "dataset_num_proc",
        "ddp_timeout",
        "disable_tqdm",
        "do_eval",
        "do_predict",
        "do_train",
        "enable_jit_checkpoint",
        "include_num_input_tokens_seen",
        "output_dir",
        "per_device_eval_batch_size",
        "prediction_loss_only",
        "project",
        "push_to_hub",
        "report_to",
        "restore_callback_states_from_checkpoint",
        "resume_from_checkpoint",
        "run_name",
        "skip_memory_metrics",
        "torch_empty_cache_steps",
    }
)
#: `eval_packing` looks like a cadence and is not one: it decides the evaluation's tokens.
_NEVER_FREE = frozenset({"eval_packing"})


#: Keys that only deal out the rows of one optimiser step.
_DEALING = frozenset({"per_device_train_batch_size", "gradient_accumulation_steps"})


def differences(
    old: Recipe, new: Recipe, *, batches: tuple[int, int] | None = None, processes: int | None = None
) -> list[Problem]:
    """What makes `new` another run than `old`: one problem per key, with both values.

    `batches`: the global batch size of both, where it is known; then how it is dealt out to processes is free.
    `processes`: how many the old one had, where that is known.
    """
    dealt = _DEALING if batches is not None else frozenset()
    found = [
        Problem(f"was {_short(before)}, is now {_short(now)}", where=key)
        for key, before, now in changed(old, new)
        if not is_free(key) and key not in dealt
    ]
    if batches is not None and batches[0] != batches[1]:
        hint = f"--keep-global-batch deals out {batches[0]} rows to the processes there are now"
        if processes is not None:
            hint += f"; --num-processes {processes} is what the run began with"
        found.insert(0, Problem(f"was {batches[0]} rows a step, is now {batches[1]}", "global batch", hint))
    if old.task != new.task:
        found.insert(0, Problem(f"was {old.task}, is now {new.task}", where="task"))
    if old.profile != new.profile:
        found.append(Problem(f"was {old.profile}, is now {new.profile}", where="profile"))
    for name, before, now in flat_changes(asdict(old.mixture), asdict(new.mixture), "mixture"):
        found.append(Problem(f"was {_short(before)}, is now {_short(now)}", where=name))
    for name, before, now in flat_changes(dict(old.behaviours), dict(new.behaviours), "profile"):
        found.append(Problem(f"was {_short(before)}, is now {_short(now)}", where=name))
    return found


def digest(recipe: Recipe) -> str:
    """Digest of all that decides what is trained; machines of one run must have the same."""
    from align_cli.files import digest_of

    return digest_of(_decisive(recipe))


def keys(recipe: Recipe) -> dict[str, tuple[str, str]]:
    """Each key of what `digest` is of, with a digest of its value and the value in short, without secrets."""
    from align_cli.files import digest_of

    parts = _decisive(recipe)
    flat = {**{key: parts[key] for key in ("task", "profile")}, **parts["values"]}
    for block in ("mixture", "behaviours"):
        flat.update({f"{block}.{key}": value for key, value in parts[block].items()})
    return {key: (digest_of(value)[:12], secrets.scrub(_short(value))) for key, value in flat.items()}


def _decisive(recipe: Recipe) -> dict[str, Any]:
    return {
        "task": recipe.task,
        "profile": recipe.profile,
        "values": {key: _plain(value) for key, value in recipe.values.items() if not is_free(key)},
        "mixture": _plain(asdict(recipe.mixture)),
        "behaviours": _plain(dict(recipe.behaviours)),
    }


def notes(old: Recipe, new: Recipe) -> list[Note]:
    """What has changed since the last attempt and is allowed to."""
    return [
        Note(key, f"{key} was {_short(before)} when the run began, is now {_short(now)}")
        for key, before, now in changed(old, new)
        if is_free(key)
    ]


def is_free(key: str) -> bool:
    """Whether a run may go on with another value of this key."""
    return key in _FREE_KEYS or (key.startswith(_FREE_PREFIXES) and key not in _NEVER_FREE)


def changed(old: Recipe, new: Recipe) -> list[tuple[str, Any, Any]]:
    """(key, before, now) of every flat key whose value in force differs."""
    keys = sorted({*old.values, *new.values})
    return [(key, old.get(key), new.get(key)) for key in keys if _plain(old.get(key)) != _plain(new.get(key))]


def flat_changes(old: Any, new: Any, where: str) -> list[tuple[str, Any, Any]]:
    """(place, before, now) of every leaf that differs between two trees."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = [*old, *(name for name in new if name not in old)]
        return [change for name in names for change in flat_changes(old.get(name), new.get(name), f"{where}.{name}")]
    if isinstance(old, list | tuple) and isinstance(new, list | tuple) and len(old) == len(new):
        return [
            change
            for index, (before, now) in enumerate(zip(old, new, strict=True))
            for change in flat_changes(before, now, f"{where}.{index}")
        ]
    return [] if _plain(old) == _plain(new) else [(where, old, new)]


def _plain(value: Any) -> Any:
    """Lists and tuples compare equal, as they do after a round trip through JSON."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value


def _short(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple) and len(value) > 4:
        return f"{len(value)} entries"
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"
