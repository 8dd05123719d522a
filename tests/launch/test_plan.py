from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli.launch.host import Host
from align_cli.launch.plan import make
from align_cli.recipe.schema import Launch, Mixture, Recipe
from tests.launch.conftest import DEFAULTS, make_recipe

RUN = Path("runs/a")


def test_steps_are_batches_over_accumulation_times_epochs(recipe, laptop):
    # 100 rows in batches of 8 are 13 batches; 13 over 4 are 4 steps; 1.5 epochs are 6 steps.
    asked = recipe(per_device_train_batch_size=8, gradient_accumulation_steps=4, num_train_epochs=1.5)

    plan = make(asked, laptop, RUN, num_train=100)

    assert (plan.global_batch_size, plan.steps_per_epoch, plan.num_steps) == (32, 4, 6)


def test_dropping_the_last_batch_rounds_down(recipe, laptop):
    asked = recipe(per_device_train_batch_size=8, dataloader_drop_last=True, num_train_epochs=1)

    assert make(asked, laptop, RUN, num_train=15).num_steps == 1


def test_max_steps_decides_without_knowing_the_rows(recipe, laptop):
    plan = make(recipe(max_steps=7), laptop, RUN)

    assert plan.num_steps == 7
    assert plan.steps_per_epoch is None


def test_steps_stay_unknown_until_the_rows_are(recipe, laptop):
    plan = make(recipe(), laptop, RUN)

    assert plan.num_steps is None
    assert plan.num_checkpoints is None


@pytest.mark.parametrize(
    ("values", "warmup"),
    [
        ({}, 0),
        ({"warmup_steps": 5}, 5),
        ({"warmup_steps": 0.1}, 2),  # a share of 13 steps, rounded up
        ({"warmup_ratio": 0.5}, 7),
    ],
)
def test_warmup_is_a_count_from_one_on_and_a_share_below(recipe, laptop, values, warmup):
    asked = recipe(num_train_epochs=1, **values)

    assert make(asked, laptop, RUN, num_train=100).num_warmup_steps == warmup


def test_evaluations_and_checkpoints_are_counted(recipe, laptop):
    asked = recipe(max_steps=10, eval_strategy="steps", eval_steps=4, save_strategy="steps", save_steps=4)

    plan = make(asked, laptop, RUN, num_train=100)

    assert plan.num_evaluations == 3  # after 4, 8, and at the end
    assert plan.num_checkpoints == 3


@pytest.mark.parametrize(
    ("values", "evaluations"),
    [
        ({"max_steps": 3, "eval_steps": 2}, 2),  # after 2 and at the end
        ({"max_steps": 4, "eval_steps": 2}, 2),  # the last step has just been evaluated
        ({"max_steps": 4, "eval_steps": 2, "load_best_model_at_end": True}, 3),  # the best one takes its place
        ({"max_steps": 4, "eval_strategy": "epoch"}, 1),
    ],
)
def test_the_end_is_evaluated_unless_it_has_just_been(recipe, laptop, values, evaluations):
    asked = recipe(**{"eval_strategy": "steps", **values})

    assert make(asked, laptop, RUN, num_train=100).num_evaluations == evaluations


def test_a_strategy_read_as_false_means_no(recipe, laptop):
    asked = recipe(max_steps=10, eval_strategy="no", save_strategy="no")

    plan = make(asked, laptop, RUN, num_train=100)

    assert (plan.num_evaluations, plan.num_checkpoints) == (0, 0)


def test_each_gpu_gets_a_process_that_torchrun_could_start_as_well(recipe, workstation):
    plan = make(recipe(per_device_train_batch_size=4, gradient_accumulation_steps=2), workstation, RUN)

    assert (plan.kind, plan.strategy, plan.num_processes, plan.global_batch_size) == ("workers", "ddp", 2, 16)
    assert "2 processes, one a GPU" in plan.reasons[0]
    assert " -m torch.distributed.run --nproc-per-node=2 --standalone -m align_cli.worker runs/a" in plan.command


def test_one_process_among_several_gpus_is_pinned_to_one_with_a_reason(workstation):
    plan = make(make_recipe(launch=Launch(strategy="single")), workstation, RUN)

    assert plan.env == {"CUDA_VISIBLE_DEVICES": "0"}
    assert any("2 GPUs" in reason for reason in plan.reasons)
    assert plan.command.startswith("CUDA_VISIBLE_DEVICES=0 ")


def test_the_recipes_own_choice_of_gpus_stays(recipe, workstation):
    one = make(recipe(env={"CUDA_VISIBLE_DEVICES": "1"}), workstation, RUN)
    two = make(recipe(env={"CUDA_VISIBLE_DEVICES": "1,0"}), workstation, RUN)

    assert (one.env, one.num_processes, one.kind) == ({}, 1, "inline")
    assert (two.env, two.num_processes, two.kind) == ({}, 2, "workers")


def test_gpus_that_are_hidden_are_spoken_of(recipe, workstation, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")

    assert any("CUDA_VISIBLE_DEVICES=0,1 is set" in reason for reason in make(recipe(), workstation, RUN).reasons)


def test_the_cores_of_a_cpu_are_divided(laptop):
    plan = make(make_recipe(launch=Launch(num_processes=2)), laptop, RUN)

    assert plan.threads_per_process == 1
    assert make(make_recipe(), laptop, RUN).threads_per_process == 0


def test_machines_are_named_in_the_command_and_in_the_plan(laptop):
    launch = Launch(num_processes=4, num_machines=2, machine_rank=1, main_process_ip="10.0.0.1", strategy="ddp")

    plan = make(make_recipe(launch=launch), laptop, RUN)

    assert (plan.local_processes, plan.machine_rank, plan.main_process) == (2, 1, "10.0.0.1:29500")
    assert "--nnodes=2 --node-rank=1 --master-addr=10.0.0.1 --master-port=29500" in plan.command


def test_bf16_that_nobody_asked_for_is_float32_on_a_cpu(recipe, laptop, workstation):
    assert make(recipe(), laptop, RUN).precision == "float32"
    assert make(recipe(), workstation, RUN).precision == "bf16 mixed"


def test_trust_remote_code_is_shown(recipe, laptop):
    plan = make(recipe(trust_remote_code=True), laptop, RUN)

    assert plan.trust_remote_code
    assert any("trust_remote_code" in reason for reason in plan.reasons)


def test_the_command_survives_a_shell(recipe, laptop):
    plan = make(recipe(), laptop, Path("runs/with space"))

    assert shlex.split(plan.command)[1:] == ["-m", "align_cli.worker", "runs/with space"]


def test_a_plan_is_json(recipe, workstation):
    plan = make(recipe(), workstation, RUN, num_train=10, tokens=1000)

    document = json.loads(json.dumps(plan.as_dict()))

    assert document["num_sequences"] == 10
    assert document["command"] == plan.command


@given(rows=st.integers(1, 10_000), batch=st.integers(1, 64), accumulation=st.integers(1, 32))
def test_an_epoch_of_steps_sees_every_row_and_wastes_less_than_a_step(rows, batch, accumulation):
    plan = make(_recipe(batch, accumulation), Host(cpus=1, memory_bytes=0), RUN, num_train=rows)

    assert plan.steps_per_epoch is not None
    assert plan.steps_per_epoch * plan.global_batch_size >= rows
    assert (plan.steps_per_epoch - 1) * plan.global_batch_size < rows


def _recipe(batch: int, accumulation: int) -> Recipe:
    return Recipe(
        task="sft",
        path="",
        text="",
        overrides=(),
        values={"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation},
        defaults=DEFAULTS,
        mixture=Mixture(),
        launch=Launch(),
        profile="align",
        behaviours={},
        env={},
        origins={},
        notes=(),
    )
