"""The words of the Handbook's launch.slurm, in both its spellings."""

from __future__ import annotations

from pathlib import Path

import pytest

from align_cli.errors import UsageError
from align_cli.launch.cluster.handbook import asked, positional

TASKS = ("sft", "dpo", "orpo", "cpt")


def test_the_bare_words_name_recipe_accelerator_and_overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["zephyr-7b-beta", "sft", "qlora", "multi_gpu", "--gradient_accumulation_steps=4 --run_name 'a b'"]

    found = positional(words, TASKS)

    assert found is not None
    assert (found.task, found.recipe) == ("sft", "zephyr-7b-beta/sft/qlora")
    assert found.overrides == ("launch.preset=8xgpu-ddp", "--gradient_accumulation_steps=4", "--run_name", "a b")


def test_the_named_words_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    found = asked("zephyr-141b-A35b", "orpo", "full", "zero3", "--seed=1")

    assert (found.recipe, found.overrides) == ("zephyr-141b-a35b/orpo/full", ("launch.preset=8xgpu-zero3", "--seed=1"))


def test_files_of_a_handbook_s_checkout_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("recipes/zephyr-7b-beta/sft/config_full.yaml", "recipes/accelerate_configs/zero3.yaml"):
        Path(name).parent.mkdir(parents=True)
        Path(name).touch()

    found = asked("zephyr-7b-beta", "sft", "full", "zero3")

    assert found.recipe == "recipes/zephyr-7b-beta/sft/config_full.yaml"
    assert found.overrides == ("launch.accelerate_config=recipes/accelerate_configs/zero3.yaml",)


@pytest.mark.parametrize(
    "words", [["r.yaml"], ["r.yaml", "seed=1", "a=1", "b=2"], ["sft", "r.yaml", "a=1", "b=2"], ["a", "chat", "b", "c"]]
)
def test_other_words_are_not_taken_for_them(words: list[str]) -> None:
    assert positional(words, TASKS) is None


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("zephyr-7b-beta", "sft", "fulll", "zero3"), "zephyr-7b-beta/sft/full"),
        (("zephyr-7b-beta", "sft", "full", "zero4"), "deepspeed_zero3"),
    ],
)
def test_what_there_is_not_is_told_with_what_there_is(words: tuple[str, str, str, str], hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        asked(*words)

    assert hint in caught.value.hint
