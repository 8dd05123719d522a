"""Files of `accelerate config` in our words: translated, already so, not honoured with a note, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from align_cli.errors import RecipeError
from align_cli.launch.accelerate import table
from align_cli.launch.accelerate.read import Foreign, read
from tests.launch import foreign

Read = Callable[..., Foreign]


@pytest.fixture
def said(tmp_path: Path) -> Read:
    """`said(key=value)`: what a file makes that says this and no more."""

    def made(*, distributed_type: Any = "MULTI_GPU", **keys: Any) -> Foreign:
        path = foreign.write(tmp_path / "f.yaml", common=False, distributed_type=distributed_type, **keys)
        return read(path, "f.yaml")

    return made


@pytest.fixture
def refused(said: Read) -> Callable[..., list[str]]:
    def made(**keys: Any) -> list[str]:
        with pytest.raises(RecipeError) as caught:
            said(**keys)
        return [str(problem) for problem in caught.value.problems]

    return made


@pytest.mark.parametrize(
    ("name", "launch"),
    [
        ("multi_gpu", {"strategy": "ddp"}),
        ("ddp", {"strategy": "ddp"}),
        ("deepspeed_zero1", {"strategy": "zero1"}),
        ("deepspeed_zero2", {"strategy": "zero2"}),
        ("deepspeed_zero3", {"strategy": "zero3"}),
        ("zero3", {"strategy": "zero3"}),
        ("fsdp", {"strategy": "fsdp"}),
        ("fsdp_qlora", {"strategy": "fsdp", "offload": "all", "num_processes": 2}),
        ("fsdp+qlora", {"strategy": "fsdp", "offload": "all", "num_processes": 2}),
    ],
)
def test_a_file_of_the_handbook_works_unchanged(name: str, launch: dict[str, Any], tmp_path: Path) -> None:
    path = foreign.write(tmp_path / f"{name}.yaml", **foreign.HANDBOOK[name])

    found = read(path)

    assert found.launch == {"num_machines": 1, "num_processes": 8, **launch}
    assert found.trainer.get("bf16") is ("qlora" not in name)
    assert [note.message.partition(":")[0] for note in found.notes] == (
        ["fsdp_forward_prefetch"] if "fsdp" in name else []
    )


def test_a_note_names_file_and_line_and_why(said: Read) -> None:
    found = said(rdzv_backend="etcd")

    assert [str(note) for note in found.notes] == [
        "f.yaml:2: rdzv_backend: etcd is not honoured: "
        "machines find each other through main_process_ip and main_process_port"
    ]


def test_every_value_knows_its_line(said: Read) -> None:
    found = said(num_processes=4, mixed_precision="fp16")

    assert found.places["launch.num_processes"] == "f.yaml:3"
    assert found.places["fp16"] == "f.yaml:2"


@pytest.mark.parametrize(
    ("keys", "launch"),
    [
        ({"offload_optimizer_device": "cpu", "zero_stage": 2}, {"strategy": "zero2", "offload": "optimizer"}),
        (
            {"offload_optimizer_device": "cpu", "offload_param_device": "cpu"},
            {"strategy": "zero2", "offload": "optimizer"},
        ),
        (
            {"offload_optimizer_device": "cpu", "offload_param_device": "cpu", "zero_stage": 3},
            {"strategy": "zero3", "offload": "all"},
        ),
        ({"offload_param_device": "cpu", "zero_stage": 3}, {"strategy": "zero3", "offload": "all"}),
        ({"zero_stage": 0}, {"strategy": "ddp"}),
    ],
)
def test_stage_and_offload_become_strategy_and_offload(said: Read, keys: Any, launch: Any) -> None:
    assert said(distributed_type="DEEPSPEED", deepspeed_config=keys).launch == launch


def test_nvme_is_said_not_to_be_honoured(said: Read) -> None:
    config = {"zero_stage": 3, "offload_param_device": "nvme", "offload_param_nvme_path": "/scratch"}

    found = said(distributed_type="DEEPSPEED", deepspeed_config=config)

    assert found.launch["offload"] == "all"
    assert len(found.notes) == 2


def test_a_deepspeed_config_beside_the_file_says_stage_and_offload(said: Read, tmp_path: Path) -> None:
    zero = {"stage": 3, "offload_optimizer": {"device": "cpu"}}
    (tmp_path / "ds.json").write_text(json.dumps({"zero_optimization": zero}), encoding="utf-8")

    found = said(distributed_type="DEEPSPEED", deepspeed_config={"deepspeed_config_file": "ds.json"})

    assert found.launch == {"strategy": "zero3", "offload": "optimizer"}
    assert found.trainer == {"deepspeed": str(tmp_path / "ds.json")}


def test_what_reaches_the_trainer(said: Read) -> None:
    config = {"zero_stage": 3, "gradient_accumulation_steps": 4, "gradient_clipping": 0.5}

    found = said(
        distributed_type="DEEPSPEED",
        deepspeed_config={**config, "deepspeed_moe_layer_cls_names": "MixtralSparseMoeBlock"},
        dynamo_config={"dynamo_backend": "INDUCTOR", "dynamo_mode": "default"},
        gpu_ids="0, 2",
    )

    assert found.trainer == {
        "gradient_accumulation_steps": 4,
        "max_grad_norm": 0.5,
        "torch_compile": True,
        "torch_compile_backend": "inductor",
    }
    assert found.env == {
        "ACCELERATE_DEEPSPEED_MOE_LAYER_CLS_NAMES": "MixtralSparseMoeBlock",
        "CUDA_VISIBLE_DEVICES": "0,2",
    }


def test_auto_leaves_the_trainer_alone(said: Read) -> None:
    config = {"zero_stage": 2, "gradient_accumulation_steps": "auto", "gradient_clipping": "auto"}

    assert said(distributed_type="DEEPSPEED", deepspeed_config=config).trainer == {}


def test_options_of_fsdp_reach_the_trainer_in_its_words(said: Read) -> None:
    config = {
        "fsdp_sharding_strategy": 2,
        "fsdp_transformer_layer_cls_to_wrap": "A,B",
        "fsdp_min_num_params": 10,
        "fsdp_activation_checkpointing": True,
        "fsdp_state_dict_type": "FULL_STATE_DICT",
    }

    found = said(distributed_type="FSDP", fsdp_config=config)

    assert found.trainer == {
        "fsdp_config": {
            "reshard_after_forward": False,
            "transformer_layer_cls_to_wrap": ["A", "B"],
            "min_num_params": 10,
            "state_dict_type": "FULL_STATE_DICT",
        },
        "gradient_checkpointing": True,
    }


def test_no_shard_is_ddp(said: Read) -> None:
    assert said(distributed_type="FSDP", fsdp_config={"fsdp_sharding_strategy": "NO_SHARD"}).launch["strategy"] == "ddp"


def test_the_words_of_parallelism_become_ours(said: Read) -> None:
    sizes = {
        "parallelism_config_tp_size": 2,
        "parallelism_config_cp_size": 4,
        "parallelism_config_dp_replicate_size": 1,
    }

    found = said(distributed_type="FSDP", parallelism_config=sizes)

    assert found.launch == {"strategy": "fsdp", "tensor_parallel": 2, "context_parallel": 4}
    assert found.notes == ()


def test_one_process_is_one_whatever_the_file_counts(said: Read) -> None:
    assert said(distributed_type="NO", num_processes=8).launch == {"strategy": "single"}


def test_processes_on_cores_use_no_gpu(said: Read) -> None:
    found = said(distributed_type="MULTI_CPU", num_processes=2)

    assert (found.launch, found.trainer) == ({"strategy": "ddp", "num_processes": 2}, {"use_cpu": True})


def test_the_rank_of_a_single_machine_says_nothing(said: Read) -> None:
    assert "machine_rank" not in said(machine_rank=0, num_machines=1).launch
    assert said(machine_rank=0, num_machines=2).launch["machine_rank"] == 0


def test_a_section_that_has_no_effect_is_said(said: Read) -> None:
    found = said(deepspeed_config={"zero_stage": 3})

    assert [note.message for note in found.notes] == ["deepspeed_config has no effect: distributed_type is MULTI_GPU"]


@pytest.mark.parametrize("kind", ["XLA", "TPU", "MEGATRON_LM", "MULTI_XPU"])
def test_what_cannot_be_run_is_refused(refused: Callable[..., list[str]], kind: str) -> None:
    problems = refused(distributed_type=kind)

    assert problems[0].startswith(f"f.yaml:1: distributed_type: {kind} cannot be run")


def test_sagemaker_is_one_problem_and_not_twenty(refused: Callable[..., list[str]]) -> None:
    problems = refused(compute_environment="AMAZON_SAGEMAKER", ec2_instance_type="ml.p3", region="x")

    assert len(problems) == 1
    assert "SageMaker" in problems[0]


def test_unknown_keys_and_values_are_all_told_with_what_was_meant(refused: Callable[..., list[str]]) -> None:
    problems = refused(num_proceses=8, zero_stage=3, mixed_precision="bf61")

    assert problems == [
        'f.yaml:2: mixed_precision: expected one of no, fp16, bf16, not "bf61"',
        "f.yaml:3: unknown key num_proceses (did you mean num_processes?)",
        "f.yaml:4: unknown key zero_stage (zero_stage belongs inside deepspeed_config:)",
    ]


def test_a_file_of_the_handbook_that_is_not_there_has_a_preset(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        read(tmp_path / "x", "recipes/accelerate_configs/deepspeed_zero3.yaml")

    assert "8xgpu-zero3" in caught.value.hint


@pytest.mark.parametrize("text", ["", "- a\n", "a: [\n", "just words\n"])
def test_what_is_no_such_file_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "f.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(RecipeError, match=r"f\.yaml is not a file of accelerate config"):
        read(tmp_path / "f.yaml", "f.yaml")


def test_every_entry_of_the_table_does_one_thing() -> None:
    for rule in table.rules().values():
        done = [word for word in ("launch", "trainer", "fsdp", "env", "note", "refuse") if getattr(rule, word)]

        assert len(done) <= 1, rule.name
        assert not (rule.special and (rule.note or rule.refuse or rule.launch)), rule.name
