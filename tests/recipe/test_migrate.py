from __future__ import annotations

from pathlib import Path

import pytest

from align_cli.errors import RecipeError
from align_cli.recipe.load import load
from align_cli.recipe.migrate import migrate
from tests.recipe.conftest import task

OLD = """\
# Model arguments
model_name_or_path: some/model
torch_dtype: bfloat16  # half the memory
use_flash_attention_2: true

# Data
dataset_mixer:
  a/b: 0.5   # half of it
  c/d: 1.0
dataset_splits:
- train_sft
- test_sft
preprocessing_num_workers: 12

# Training
evaluation_strategy: "epoch"   # or steps
warmup_ratio: 0.1
max_seq_length: 2048
overwrite_output_dir: true
packing_strategy: ffd
split_batches: true
wandb_tags: [x, y]
report_to:
- wandb
# the end
"""

NEW = """\
# Model arguments
profile: handbook-2023
model_name_or_path: some/model
dtype: bfloat16  # half the memory
attn_implementation: flash_attention_2

# Data
mixture:
  combine: handbook-2023
  seed: 42
  sources:
    - path: a/b
      keep_columns: [messages, chosen, rejected, prompt, completion, label]
      split: train_sft
      fraction: 0.5
    - path: c/d
      keep_columns: [messages, chosen, rejected, prompt, completion, label]
      split: train_sft
      fraction: 1.0
  eval:
    - path: a/b
      keep_columns: [messages, chosen, rejected, prompt, completion, label]
      split: test_sft
    - path: c/d
      keep_columns: [messages, chosen, rejected, prompt, completion, label]
      split: test_sft
dataset_num_proc: 12

# Training
eval_strategy: "epoch"   # or steps
warmup_steps: 0.1
max_length: 2048
packing_strategy: bfd
accelerator_config:
  split_batches: true
report_to:
- wandb
# the end
env:
  WANDB_TAGS: "x,y"
"""


def test_old_words_become_today_s_and_comments_stay() -> None:
    text, notes = migrate(OLD, task())

    assert text == NEW
    assert {"torch_dtype", "dataset_mixer", "profile", "overwrite_output_dir"} <= {note.key for note in notes}


def same(before: str, after: str, name: str, here: Path) -> None:
    (here / "recipe.yaml").write_text(before)
    old = load(["recipe.yaml"], task(name))
    (here / "recipe.yaml").write_text(after)
    new = load(["recipe.yaml"], task(name))
    for part in ("values", "mixture", "behaviours", "env", "profile", "launch"):
        assert getattr(new, part) == getattr(old, part), part


CASES = [
    ("sft", OLD),
    ("cpt", "model_name_or_path: m\ndataset_mixer: {a: 1}\ndataset_splits: [train]\ntext_column: body\n"),
    ("dpo", "model_name_or_path: m\ntorch_dtype: null\ndatasets_mixer: {a: 0.3}\nrpo_alpha: 0.5\noptim: adamw_hf\n"),
    ("dpo", "model_name_or_path: m\nmixture: a\nloss_type: hinge\nrpo_alpha: 1.0\n"),
    ("dpo", "model_name_or_path: m\nmixture: a\nrpo_alpha: 1.0  # both\nloss_type:\n- hinge\n"),
    ("sft", "model_name_or_path: m\nmixture: a\nwarmup_ratio: 0.2\nwarmup_steps: 0\n"),
    ("orpo", "model_name_or_path: m\ndataset_name: a\nchat_template: '{{ x }}'\nhub_model_revision: v\n"),
    (
        "sft",
        "model_name_or_path: m\ndataset_mixture:\n  datasets:\n  - {id: a, weight: null}\n  - id: 'b: c'\n  seed: 9\n",
    ),
    ("sft", "model_name_or_path: m\nmixture:\n  clean: {decontaminate_humaneval: false}\ndataset_mixer: {a: 1}\n"),
    ("sft", "model_name_or_path: m\ndatasets: [a]\ntest_split_size: 0.1\nno_cuda: true\n"),
    ("sft", "model_name_or_path: m\nmixture: a\nuse_flash_attention_2: false\nwarmup_ratio: 0.2\nwarmup_steps: 3\n"),
    ("sft", "env:\n  A: 1\nmodel_name_or_path: m\nmixture: a\nlogging_dir: logs\ngroup_by_length: true\n"),
    (
        "sft",
        "model_name_or_path: m\nmixture: a\ngradient_checkpointing_kwargs:\n  x: 1\n# c\n"
        "gradient_checkpointing_use_reentrant: false\n",
    ),
    (
        "sft",
        "model_name_or_path: m\nmixture: a\nchat_template: |\n  {{ x }}\n\n  {{ y }}\n'torch_dtype': auto\nseed: 1",
    ),
]


@pytest.mark.parametrize(("name", "text"), CASES)
def test_a_migrated_recipe_resolves_to_the_same(name: str, text: str, here: Path) -> None:
    migrated, notes = migrate(text, task(name))

    same(text, migrated, name, here)
    assert migrate(migrated, task(name))[0] == migrated
    assert notes or migrated == text


def test_a_recipe_of_today_comes_back_as_it_is() -> None:
    text = "# mine\nmodel_name_or_path: m  # x\n\nmixture: {sources: [a]}\nlearning_rate: 5e-7\n"

    assert migrate(text, task()) == (text, [])


@pytest.mark.parametrize("text", ["a: 1\n\tb: 2\n", "", "max_seq_length: 1\nmax_length: 2\n", "dataset_mixer: 3\n"])
def test_what_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(RecipeError) as caught:
        migrate(text, task())

    assert caught.value.problems
