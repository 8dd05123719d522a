from __future__ import annotations

from dataclasses import replace

import pytest

from align_cli.launch.adapt import adapted, as_notes, as_problems, mismatches
from align_cli.launch.host import Gpu
from align_cli.recipe.schema import Origin


@pytest.mark.parametrize(
    ("key", "value", "nearest"),
    [
        ("bf16", True, False),
        ("fp16", True, False),
        ("tf32", True, None),
        ("attn_implementation", "flash_attention_2", "sdpa"),
        ("attn_implementation", "kernels-community/flash-attn2", "sdpa"),
        ("load_in_4bit", True, False),
        ("load_in_8bit", True, False),
        ("optim", "paged_adamw_32bit", "adamw_torch"),
        ("optim", "adamw_bnb_8bit", "adamw_torch"),
        ("optim", "adamw_8bit", "adamw_torch"),
        ("optim", "rmsprop_bnb", "rmsprop"),
        ("optim", "galore_adamw", "adamw_torch"),
        ("report_to", "wandb", "none"),
        ("report_to", ["tensorboard", "wandb"], ["tensorboard"]),
        ("use_liger_kernel", True, False),
        ("ddp_backend", "nccl", "gloo"),
    ],
)
def test_what_a_laptop_cannot_honour_has_a_nearest_value(recipe, laptop, key, value, nearest):
    found = mismatches(recipe(**{key: value}), laptop)

    assert [(item.key, item.value, item.nearest) for item in found] == [(key, value, nearest)]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"bf16": False},
        {"bf16": True, "use_cpu": True},
        {"optim": "adamw_torch_fused"},
        {"optim": "adafactor"},
        {"attn_implementation": "eager"},
        {"attn_implementation": "flex_attention"},
        {"report_to": "tensorboard"},
        {"report_to": "none"},
        {"report_to": ["all"]},
    ],
)
def test_what_a_laptop_can_do_is_left_alone(recipe, laptop, values):
    assert mismatches(recipe(**values), laptop) == []


def test_a_tracker_that_only_a_profile_chose_is_no_reason_to_stop(recipe, laptop):
    asked = recipe(report_to="tensorboard")
    by_profile = replace(asked, origins={"report_to": Origin("profile", "profile align")})
    bare = replace(laptop, packages=frozenset())

    assert [item.key for item in mismatches(asked, bare)] == ["report_to"]
    assert mismatches(by_profile, bare) == []


def test_a_workstation_honours_what_a_laptop_cannot(recipe, workstation):
    asked = recipe(
        bf16=True,
        tf32=True,
        attn_implementation="flash_attention_2",
        load_in_4bit=True,
        optim="paged_adamw_32bit",
        report_to=["wandb"],
        use_liger_kernel=True,
        ddp_backend="nccl",
    )

    assert mismatches(asked, workstation) == []


def test_a_gpu_without_bf16_is_named(recipe, workstation):
    old = replace(workstation, gpus=(Gpu("Card T", 16 << 30, (7, 5)),))

    (found,) = mismatches(recipe(bf16=True), old)

    assert "Card T" in found.why


def test_use_cpu_on_a_gpu_machine_counts_as_no_gpu(recipe, workstation):
    assert [item.key for item in mismatches(recipe(use_cpu=True, tf32=True), workstation)] == ["tf32"]


def test_a_real_run_gets_one_problem_each_with_its_place(recipe, laptop):
    asked = recipe(bf16=True, report_to="wandb")

    problems = as_problems(asked, mismatches(asked, laptop))

    assert [problem.where for problem in problems] == ["r.yaml:1", "r.yaml:2"]
    assert [problem.hint for problem in problems] == ["here: bf16=false", "here: report_to=none"]


def test_adapting_replaces_values_and_says_so(recipe, laptop):
    asked = recipe(bf16=True, tf32=True, learning_rate=1e-5)

    new = adapted(asked, mismatches(asked, laptop))

    assert new.values == {"bf16": False, "learning_rate": 1e-5}
    assert new.origins["bf16"].kind == "adapted"
    assert [note.key for note in new.notes] == ["bf16", "tf32"]
    assert mismatches(new, laptop) == []


def test_a_dry_run_gets_notes_that_name_the_replacement(recipe, laptop):
    asked = recipe(tf32=True)

    (note,) = as_notes(asked, mismatches(asked, laptop))

    assert note.where == "r.yaml:1"
    assert "--adapt" in note.message
    assert "remove tf32" in note.message
