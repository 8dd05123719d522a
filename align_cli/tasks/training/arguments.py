"""The recipe as the trainer's own configuration: what somebody chose, and nothing else.

Only chosen values are handed over, so that defaults which upstream computes stay upstream's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from align_cli.errors import RecipeError
from align_cli.recipe.schema import Recipe

#: Keys whose work is done elsewhere: where the data are prepared, the model loaded, the result published.
_DONE_ELSEWHERE = frozenset(
    {
        "assistant_only_loss",
        "chat_template_path",
        "completion_only_loss",
        "dataset_kwargs",
        "dataset_num_proc",
        "dataset_text_field",
        "eos_token",
        "model_init_kwargs",
        "output_dir",
        "pad_token",
        "push_to_hub",
        "resume_from_checkpoint",
        "shuffle_dataset",
        "truncation_mode",
    }
)
#: The tracker that a profile turns on by itself -> the packages of which one is needed.
_TRACKERS = {"tensorboard": ("tensorboard", "tensorboardX")}


def trainer_config(
    config: type,
    recipe: Recipe,
    *,
    forced: Mapping[str, Any],
    output_dir: str,
    has_eval: bool,
    say: Callable[[str], None],
) -> Any:
    """An instance of upstream's `config` (`SFTConfig`, …) for this recipe; `forced` values win over the recipe's.

    Raises:
        RecipeError: upstream refuses a combination of values; its words are kept.
    """
    known = {field.name for field in dataclasses.fields(config)}
    chosen = {key: value for key, value in recipe.values.items() if key in known - _DONE_ELSEWHERE}
    for key, value in {**_other_defaults(config, recipe), **_for_this_device(recipe)}.items():
        chosen.setdefault(key, value)
    if not has_eval and chosen.get("eval_strategy", "no") != "no":
        say("there are no evaluation rows: eval_strategy is taken as no")
        chosen["eval_strategy"] = "no"
        chosen.pop("load_best_model_at_end", None)
    if "report_to" in chosen:
        chosen["report_to"] = _trackers(recipe, chosen["report_to"], say)
    # The display and the Hub are ours: upstream's bar would write into it, and a Hub failure must not stop a run.
    chosen.update(forced, output_dir=output_dir, disable_tqdm=True, push_to_hub=False)
    try:
        return config(**chosen)
    except (ValueError, TypeError, ImportError, RuntimeError) as cause:
        lines = str(cause).strip().splitlines() or [type(cause).__name__]
        raise RecipeError(f"the trainer refuses these settings: {' '.join(lines)}") from cause


def _other_defaults(config: type, recipe: Recipe) -> dict[str, Any]:
    """Defaults that a task's own dataclass sets instead of upstream's: what was shown is what is used."""
    return {
        field.name: recipe.defaults[field.name]
        for field in dataclasses.fields(config)
        if field.name in recipe.defaults
        and field.name not in _DONE_ELSEWHERE
        and field.default is not dataclasses.MISSING
        and field.default != recipe.defaults[field.name]
    }


def _for_this_device(recipe: Recipe) -> dict[str, Any]:
    """Values where nobody chose: upstream turns bf16 on, which slows a CPU down."""
    import torch

    on_device = (torch.cuda.is_available() or torch.backends.mps.is_available()) and not recipe.values.get("use_cpu")
    chosen: dict[str, Any] = {} if on_device else {"dataloader_pin_memory": False}
    if not recipe.values.get("fp16") and not on_device:
        chosen["bf16"] = False
    return chosen


def _trackers(recipe: Recipe, wanted: Any, say: Callable[[str], None]) -> list[str]:
    """The trackers to use. One that is not installed is left out if a profile chose it; a person's choice stays."""
    names = [wanted] if isinstance(wanted, str) else list(wanted or [])
    origin = recipe.origins.get("report_to")
    if origin is None or origin.kind != "profile":
        return names
    kept = []
    for name in names:
        packages = _TRACKERS.get(name, ())
        if packages and not any(find_spec(package) for package in packages):
            say(f"{name} is not installed: the curves are in align/metrics.jsonl only (pip install {packages[0]})")
        else:
            kept.append(name)
    return kept or ["none"]
