"""The plan's arithmetic is the trainer's own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from align_cli.launch.host import Host
from align_cli.launch.plan import make
from align_cli.recipe.schema import Launch, Mixture, Recipe

pytestmark = pytest.mark.slow

DEFAULTS = {"num_train_epochs": 3.0, "max_steps": -1, "gradient_accumulation_steps": 1, "warmup_steps": 0}


@pytest.mark.parametrize("rows", [1, 7, 64, 1001])
@pytest.mark.parametrize(
    "values",
    [
        {"per_device_train_batch_size": 1},
        {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 3, "num_train_epochs": 1.5},
        {"per_device_train_batch_size": 4, "max_steps": 9, "warmup_steps": 0.3},
        {"per_device_train_batch_size": 3, "gradient_accumulation_steps": 2, "warmup_steps": 4},
    ],
)
def test_steps_per_epoch_total_and_warmup_are_those_of_transformers(rows, values, tmp_path: Path):
    from torch.utils.data import DataLoader
    from transformers import Trainer, TrainingArguments

    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none", **values)
    loader = DataLoader(range(rows), batch_size=args.per_device_train_batch_size)
    # Only what the method asks of a trainer: making a real one needs a model.
    trainer = SimpleNamespace(
        get_total_train_batch_size=lambda args: args.per_device_train_batch_size * args.gradient_accumulation_steps,
        get_sp_size=lambda: 1,
        num_examples=lambda loader: len(loader.dataset),
    )
    theirs = Trainer.set_initial_training_values(trainer, args, loader)

    plan = make(_recipe(values), Host(cpus=1, memory_bytes=0), tmp_path, num_train=rows)

    assert plan.steps_per_epoch == theirs[1]
    assert plan.global_batch_size == theirs[4]
    assert plan.num_steps == theirs[6]
    assert plan.num_warmup_steps == args.get_warmup_steps(theirs[6])


def test_reporting_words_are_those_of_transformers():
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    from align_cli.launch.adapt import _TRACKERS

    assert set(_TRACKERS) == set(INTEGRATION_TO_CALLBACK)


def _recipe(values: dict[str, object]) -> Recipe:
    return Recipe(
        task="sft",
        path="",
        text="",
        overrides=(),
        values=values,
        defaults=DEFAULTS,
        mixture=Mixture(),
        launch=Launch(),
        profile="align",
        behaviours={},
        env={},
        origins={},
        notes=(),
    )
