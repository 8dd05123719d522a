from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from align_cli import registry
from align_cli.errors import Problem, RecipeError
from align_cli.recipe.fields import fields_of
from align_cli.recipe.load import load
from align_cli.recipe.ranges import RANGES
from align_cli.tasks import dpo
from tests.recipe.conftest import LEAST, Write

One = Callable[..., Problem]

#: (lines, place, what is said)
CONTRADICTIONS = [
    ("load_in_4bit: true\nload_in_8bit: true\nuse_peft: true", "recipe.yaml:6", "both true"),
    ("load_in_4bit: true", "recipe.yaml:5", "only an adapter"),
    ("load_in_8bit: true", "recipe.yaml:5", "only an adapter"),
    ("bf16: true\nfp16: true", "recipe.yaml:6", "bf16 and fp16"),
    ("bf16_full_eval: true\nfp16_full_eval: true", "recipe.yaml:6", "both true"),
    ("dtype: float16\nfp16: true", "recipe.yaml:5", "float32 weights"),
    ("packing: true\nmax_length: null", "recipe.yaml:6", "max_length is null"),
    ("padding_free: true", "recipe.yaml:5", "does not cut"),
    ("eval_strategy: epoch", "recipe.yaml:5", "no rows to evaluate on"),
    ("do_eval: true", "recipe.yaml:5", "no rows to evaluate on"),
    ("eval_on_start: true", "recipe.yaml:5", "no rows to evaluate on"),
    ("lr_scheduler_type: reduce_lr_on_plateau", "recipe.yaml:5", "follows the evaluation"),
    ("lr_scheduler_type: cosine_with_min_lr", "recipe.yaml:5", "minimum"),
    ("lr_scheduler_type: warmup_stable_decay", "recipe.yaml:5", "how long it decays"),
    ("optim: galore_adamw", "recipe.yaml:5", "optim_target_modules"),
    ("save_strategy: best\nmetric_for_best_model: loss", "recipe.yaml:5", "needs evaluations"),
    ("load_best_model_at_end: true", "recipe.yaml:5", "needs evaluations"),
    ("report_to: [wandb, tensorbord]", "recipe.yaml:5", '"tensorbord"'),
    ("deepspeed: {zero_optimization: {stage: 3}}\nfsdp: true", "recipe.yaml:6", "both given"),
    ("dataloader_prefetch_factor: 2", "recipe.yaml:5", "needs workers"),
    ("dataloader_persistent_workers: true", "recipe.yaml:5", "needs workers"),
    ("gradient_checkpointing: true\nactivation_checkpointing: false", "recipe.yaml:6", "one thing"),
    ("chat_template: chatml\nchat_template_path: x", "recipe.yaml:6", "both given"),
    ("chat_template_path: gone.jinja", "recipe.yaml:5", "no template file"),
    ("resume_from_checkpoint: gone", "recipe.yaml:5", "no checkpoint folder"),
    ("learning_rate: 0", "recipe.yaml:5", "more than 0"),
    ("per_device_train_batch_size: 0", "recipe.yaml:5", "at least 1"),
    ("lora_dropout: 1\nuse_peft: true", "recipe.yaml:5", "less than 1"),
    ("save_steps: 7.5", "recipe.yaml:5", "a whole number"),
    ("max_steps: 0", "recipe.yaml:5", "nothing would be trained"),
    ("seed: -1", "recipe.yaml:5", "at least 0"),
]


@pytest.mark.parametrize(("lines", "place", "said"), CONTRADICTIONS)
def test_a_contradiction_is_a_problem_at_its_line(problem: One, lines: str, place: str, said: str) -> None:
    found = problem(lines + "\n")

    assert said in found.message
    assert found.where == place


HELD_OUT = "  held_out: 0.1\n"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("eval_strategy: epoch\nsave_strategy: steps\nload_best_model_at_end: true", "one rhythm"),
        ("eval_strategy: steps\neval_steps: 3\nsave_steps: 10\nload_best_model_at_end: true", "not a multiple"),
        ("eval_strategy: steps\neval_steps: 0.1\nsave_steps: 10\nload_best_model_at_end: true", "not a multiple"),
        ("eval_strategy: steps\nlogging_steps: 7\nsave_steps: 10\nload_best_model_at_end: true", "not a multiple"),
    ],
)
def test_the_best_model_needs_matching_rhythms(problem: One, lines: str, said: str) -> None:
    assert said in problem(HELD_OUT + lines + "\n").message


@pytest.mark.parametrize(
    "lines",
    [
        "eval_strategy: epoch\nsave_strategy: epoch\nload_best_model_at_end: true",
        "eval_strategy: steps\neval_steps: 5\nsave_steps: 10\nload_best_model_at_end: true",
        "eval_strategy: steps\neval_steps: 0.1\nsave_steps: 0.3\nload_best_model_at_end: true",
        "eval_strategy: steps\nsave_strategy: best\nload_best_model_at_end: true",
        "do_eval: true",
    ],
)
def test_rhythms_that_match_are_fine(recipe: Write, lines: str) -> None:
    recipe(HELD_OUT + lines + "\n")


@pytest.mark.parametrize(
    ("source", "line", "said"),
    [
        ("book.txt", "assistant_only_loss: true", "plain text"),
        ("book.txt.gz", "completion_only_loss: true", "no prompt and completion"),
        ("{path: a, layout: text}", "assistant_only_loss: true", "plain text"),
        ("{path: a, layout: messages}", "completion_only_loss: true", "no prompt and completion"),
    ],
)
def test_a_loss_mask_that_the_data_cannot_have_is_a_problem(problem: One, source: str, line: str, said: str) -> None:
    found = problem(f"model_name_or_path: m\nmixture:\n  sources: [{source}]\n{line}\n", least=False)

    assert said in found.message


@pytest.mark.parametrize(
    ("lines", "key", "said"),
    [
        ("lora_r: 8\nlora_alpha: 16", "lora_r", "lora_r, lora_alpha: without effect"),
        ("use_dora: true", "use_dora", "without effect"),
        ("bnb_4bit_quant_type: fp4", "bnb_4bit_quant_type", "without effect"),
        ("max_steps: 5\nnum_train_epochs: 2", "num_train_epochs", "max_steps: 5 decides"),
        ("push_to_hub: true\noutput_dir: a/b", "push_to_hub", "pushed as b"),
        ("hub_model_id: a/b", "hub_model_id", "without effect"),
        ("trust_remote_code: true", "trust_remote_code", "will run here"),
        ("save_only_model: true", "save_only_model", "cannot be resumed"),
        ("dtype: float16", "dtype", "NaN"),
        ("max_prompt_length: 4", "max_prompt_length", "it is for preference tasks"),
        (HELD_OUT, "mixture.held_out", "never used"),
    ],
)
def test_what_has_no_effect_is_a_note(recipe: Write, lines: str, key: str, said: str) -> None:
    notes = recipe(lines + "\n").notes

    assert [note.key for note in notes if said in note.message] == [key]


def test_rows_listed_twice_or_evaluated_on_are_noted(recipe: Write) -> None:
    text = (
        "model_name_or_path: m\nmixture:\n  sources: [a, a, {path: b, fraction: 0}]\n  eval: [b]\n"
        "eval_strategy: epoch\n"
    )

    said = " ".join(note.message for note in recipe(text, least=False).notes)

    assert "a is listed twice" in said
    assert "b contributes nothing" in said
    assert "b is evaluated on and trained on" in said


def test_two_ways_to_evaluate_are_a_problem(problem: One) -> None:
    text = "model_name_or_path: m\nmixture: {sources: [a], eval: [b], held_out: 3}\neval_strategy: epoch\n"

    assert "both given" in problem(text, least=False).message


def test_the_model_is_not_trained_over(here: Path, problem: One) -> None:
    (here / "model").mkdir()

    assert "overwrite" in problem("output_dir: model\n", "model_name_or_path=model").message


def test_an_output_folder_that_is_a_file_is_a_problem(here: Path, problem: One) -> None:
    (here / "file").write_text("")

    assert "is a file" in problem("output_dir: file\n").message


def test_a_recipe_without_a_model_says_so(problem: One) -> None:
    assert "names no model" in problem("mixture: a.jsonl\n", least=False).message


def test_preference_losses_and_their_weights(problem: One) -> None:
    found = problem("loss_type: [sigmoid, sft]\nloss_weights: [1.0]\n", name="dpo")

    assert "1 loss_weights for 2 loss types" in found.message
    moved = problem("sync_ref_model: true\nuse_peft: true\n", name="dpo")
    assert "use_peft" in moved.message
    assert moved.hint == "sync_ref_model: false, or use_peft: false"


def test_a_number_out_of_range_can_be_left_out(problem: One) -> None:
    found = problem("beta: 0\n", name="dpo")

    assert (found.message, found.hint) == ("beta is 0, expected more than 0", "remove it: the default is 0.1")


def test_a_missing_value_is_named_at_the_value_that_needs_it(here: Path) -> None:
    (here / "r.yaml").write_text(LEAST + "loss_type: exo_pair\n")

    with pytest.raises(RecipeError) as caught:
        load(["r.yaml"], dpo.TASK)

    (found,) = caught.value.problems
    assert found.where == "r.yaml:5"
    assert found.message == "label_smoothing is 0, and loss_type exo_pair needs it above 0"


def test_every_range_is_for_a_key_that_exists() -> None:
    tasks = [registry.get(registry.TASKS, name) for name in registry.built_in(registry.TASKS)]

    assert set(RANGES) <= {key for one in tasks for key in fields_of(one.configs)}
