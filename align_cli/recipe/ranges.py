"""Numbers that no run can use, by key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from align_cli.recipe.schema import Recipe


class Range(NamedTuple):
    """What a number must be. `above` excludes its bound, `least` includes it; likewise `below` and `most`."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    whole_from_one: bool = False
    """Below 1 a share of all steps, from 1 on a whole number of steps."""

    def wrong(self, value: float) -> str:
        """What was expected instead, empty when `value` is fine."""
        if self.least is not None and value < self.least:
            return f"at least {self.least:g}"
        if self.above is not None and value <= self.above:
            return f"more than {self.above:g}"
        if self.most is not None and value > self.most:
            return f"at most {self.most:g}"
        if self.below is not None and value >= self.below:
            return f"less than {self.below:g}"
        if self.whole_from_one and value >= 1 and value != int(value):
            return "a whole number, or a share of all steps below 1"
        return ""


_COUNT = Range(least=1)
_SHARE = Range(least=0, below=1)
_NOT_NEGATIVE = Range(least=0)
_STEPS = Range(above=0, whole_from_one=True)

RANGES: dict[str, Range] = {
    "adam_beta1": _SHARE,
    "adam_beta2": _SHARE,
    "adam_epsilon": Range(above=0),
    "beta": Range(above=0),
    "dataloader_num_workers": _NOT_NEGATIVE,
    "dataloader_prefetch_factor": _COUNT,
    "dataset_num_proc": _COUNT,
    "ddp_timeout": _COUNT,
    "desirable_weight": Range(above=0),
    "eval_steps": _STEPS,
    "gradient_accumulation_steps": _COUNT,
    "label_smoothing_factor": _SHARE,
    "label_smoothing": _SHARE,
    "ld_alpha": Range(least=0, most=1),
    "learning_rate": Range(above=0),
    "logging_steps": _STEPS,
    "lora_alpha": _COUNT,
    "lora_dropout": _SHARE,
    "lora_r": _COUNT,
    "max_eval_samples": _COUNT,
    "max_grad_norm": _NOT_NEGATIVE,
    "max_length": Range(least=2),
    "max_prompt_length": _COUNT,
    "max_train_samples": _COUNT,
    "neftune_noise_alpha": _NOT_NEGATIVE,
    "num_train_epochs": Range(above=0),
    "per_device_eval_batch_size": _COUNT,
    "per_device_train_batch_size": _COUNT,
    "precompute_ref_batch_size": _COUNT,
    "save_steps": _STEPS,
    "seed": Range(least=0, most=2**32 - 1),
    "torch_empty_cache_steps": _COUNT,
    "undesirable_weight": Range(above=0),
    "warmup_steps": Range(least=0, whole_from_one=True),
    "weight_decay": _NOT_NEGATIVE,
}


def outside(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) for every number that somebody chose and no run can use."""
    for key, allowed in RANGES.items():
        value = recipe.values.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            expected = allowed.wrong(value)
            if expected:
                yield key, f"{key} is {value}, expected {expected}"
    total = recipe.values.get("save_total_limit")
    if isinstance(total, int) and total < 0:
        yield "save_total_limit", f"save_total_limit is {total}, expected at least 1"
    if recipe.values.get("max_steps") == 0:
        yield "max_steps", "max_steps is 0: nothing would be trained; -1 means all epochs"
