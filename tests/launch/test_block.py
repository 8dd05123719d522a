"""The launch block once preset and accelerate file are folded in: who wins, from where, and what is wrong then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from align_cli import registry
from align_cli.errors import RecipeError
from align_cli.launch.block import settled
from align_cli.recipe.load import load
from align_cli.recipe.schema import Recipe
from tests.launch import foreign

Settle = Callable[..., Recipe]
LEAST = "model_name_or_path: some/model\nmixture:\n  sources: [some/data]\n"


@pytest.fixture
def settle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settle:
    """`settle(text, *overrides)` with `acc.yaml`, a ZeRO-3 file of 8 processes, beside the recipe."""
    monkeypatch.chdir(tmp_path)
    config = {"zero_stage": 3, "offload_param_device": "cpu", "gradient_accumulation_steps": 4}
    foreign.write(
        tmp_path / "acc.yaml",
        common=False,
        distributed_type="DEEPSPEED",
        deepspeed_config=config,
        mixed_precision="bf16",
        num_processes=8,
    )

    def made(text: str = "", *words: str) -> Recipe:
        (tmp_path / "r.yaml").write_text(LEAST + text, encoding="utf-8")
        return settled(load(["r.yaml", *words], registry.get(registry.TASKS, "sft")))

    return made


def said(recipe: Recipe, word: str) -> tuple[object, str]:
    return getattr(recipe.launch, word), str(recipe.origins[f"launch.{word}"])


def test_the_recipe_wins_over_the_accelerate_file_and_that_over_the_preset(settle: Settle) -> None:
    found = settle(
        "launch:\n  preset: 2x8gpu-fsdp\n  accelerate_config: acc.yaml\n  num_processes: 4\n", "launch.max_restarts=1"
    )

    assert said(found, "num_processes") == (4, "r.yaml:7")
    assert said(found, "max_restarts") == (1, "launch.max_restarts=1")
    assert said(found, "strategy") == ("zero3", "acc.yaml:4")
    assert said(found, "num_machines") == (2, "preset 2x8gpu-fsdp:4")


def test_what_the_recipe_says_wins_even_if_it_is_the_default(settle: Settle) -> None:
    found = settle("launch: {preset: 8xgpu-zero3-offload, offload: none}\n")

    assert (found.launch.strategy, found.launch.offload) == ("zero3", "none")


def test_another_strategy_leaves_behind_what_only_the_preset_s_could_do(settle: Settle) -> None:
    found = settle("launch: {preset: 8xgpu-zero3-offload}\n", "launch.strategy=single")

    assert (found.launch.strategy, found.launch.offload, found.launch.num_processes) == ("single", "none", "auto")


def test_a_settled_recipe_stays_as_it_is(settle: Settle) -> None:
    found = settle("launch: {preset: 2x8gpu-fsdp, accelerate_config: acc.yaml, rendezvous: 'a:1'}\nbf16: false\n")

    assert settled(found) == found


def test_the_trainer_gets_what_the_recipe_does_not_say(settle: Settle) -> None:
    found = settle("launch: {accelerate_config: acc.yaml}\n")

    assert (found.values["bf16"], found.values["gradient_accumulation_steps"]) == (True, 4)
    assert str(found.origins["bf16"]) == "acc.yaml:6"


def test_a_recipe_s_own_value_stays_and_the_difference_is_said(settle: Settle) -> None:
    found = settle("launch: {accelerate_config: acc.yaml}\nfp16: true\ngradient_accumulation_steps: 2\n")

    assert "bf16" not in found.values
    assert {note.message for note in found.notes} == {
        "gradient_accumulation_steps: 4 is not taken: the recipe says gradient_accumulation_steps: 2",
        "bf16: true is not taken: the recipe says fp16: true",
    }


def test_options_of_fsdp_are_merged_below_the_recipe_s(settle: Settle, tmp_path: Path) -> None:
    foreign.write(tmp_path / "fsdp.yaml", **foreign.HANDBOOK["fsdp"])

    found = settle("launch: {accelerate_config: fsdp.yaml}\nfsdp_config: {state_dict_type: FULL_STATE_DICT}\n")

    assert found.values["fsdp_config"] == {
        "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "cpu_ram_efficient_loading": True,
        "state_dict_type": "FULL_STATE_DICT",
    }


def test_variables_of_the_file_hold_where_the_recipe_sets_none(settle: Settle, tmp_path: Path) -> None:
    foreign.write(tmp_path / "g.yaml", distributed_type="MULTI_GPU", gpu_ids="1,2", num_processes=2)

    assert settle("launch: {accelerate_config: g.yaml}\n").env["CUDA_VISIBLE_DEVICES"] == "1,2"
    assert settle("launch: {accelerate_config: g.yaml}\nenv: {CUDA_VISIBLE_DEVICES: '3'}\n").env == {
        "CUDA_VISIBLE_DEVICES": "3"
    }


def test_the_file_is_found_beside_the_recipe(settle: Settle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle("launch: {accelerate_config: acc.yaml}\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    found = settled(load(["../r.yaml"], registry.get(registry.TASKS, "sft")))

    assert found.launch.strategy == "zero3"


def test_a_rendezvous_is_an_address_and_a_port(settle: Settle) -> None:
    found = settle("launch: {num_machines: 2, rendezvous: '[fd00::1]:29400'}\n")

    assert (found.launch.main_process_ip, found.launch.main_process_port) == ("fd00::1", 29400)
    assert found.notes == ()


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("{preset: 8xgpu-zer3}", 'r.yaml:4: launch.preset: there is no preset "8xgpu-zer3"'),
        ("{accelerate_config: none.yaml}", "r.yaml:4: there is no file none.yaml of accelerate"),
        ("{preset: 2x8gpu-zero3, num_processes: 3}", "r.yaml:4: 3 processes cannot be divided evenly among 2 machines"),
        ("{preset: 8xgpu-ddp, offload: all}", "r.yaml:4: launch.offload: all is not possible with strategy ddp"),
    ],
)
def test_what_is_wrong_once_all_is_known_has_a_place(settle: Settle, block: str, expected: str) -> None:
    with pytest.raises(RecipeError) as caught:
        settle(f"launch: {block}\n")

    assert [str(problem).startswith(expected) for problem in caught.value.problems] == [True]


def test_a_wrong_value_in_the_file_is_told_at_its_line(settle: Settle, tmp_path: Path) -> None:
    foreign.write(tmp_path / "g.yaml", common=False, distributed_type="MULTI_GPU", num_processes="many")

    with pytest.raises(RecipeError) as caught:
        settle("launch: {accelerate_config: g.yaml}\n")

    assert [str(problem) for problem in caught.value.problems] == [
        'g.yaml:2: launch.num_processes: expected a whole number or auto, not "many"'
    ]
