"""A run that begins from another run's adapter: the right base below it, and one adapter on the raw base at the end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from align_cli.models.locate import chain, locate
from tests.end_to_end.conftest import Train, curve
from tests.models.conftest import logits, through_peft

pytestmark = pytest.mark.slow

LORA = {"use_peft": True, "lora_r": 4, "lora_alpha": 16, "lora_target_modules": "all-linear"}


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in curve(run) if "loss" in line]


def test_a_second_adapter_is_saved_as_one_with_the_first_on_the_raw_base(train: Train, tiny: Path):
    from transformers import AutoModelForCausalLM

    first = train(model_name_or_path=str(tiny), output_dir="first", **LORA)
    second = train(model_name_or_path=str(first), output_dir="second", **LORA | {"lora_r": 2, "use_rslora": True})

    stage = locate(str(first))
    trained = through_peft(second / "checkpoint-20")
    assert json.loads((second / "checkpoint-20" / "adapter_config.json").read_text())["base_model_name_or_path"] == str(
        stage
    )
    plain = through_peft(second)
    assert (logits(plain) - logits(trained)).abs().max() < 1e-4
    assert (logits(through_peft(first)) - logits(trained)).abs().max() > 1e-2
    assert losses(second)[0] < losses(first)[0]
    config = json.loads((second / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny)
    assert config["r"] == 6
    # plain transformers finds the base by itself
    opened = AutoModelForCausalLM.from_pretrained(second)
    assert (logits(opened) - logits(trained)).abs().max() < 1e-4

    said = json.loads((second / "align" / "manifest.json").read_text())["facts"]["chain"]
    assert said["base"]["name"] == str(tiny)
    assert [link["name"] for link in said["adapters"]] == [str(first)]
    (link,) = chain(str(second)).adapters
    assert link.contains[0] == said["adapters"][0]["digest"]
    assert str(tiny.parent) not in json.dumps(link.adapter.header.metadata)

    third = train(model_name_or_path=str(second), output_dir="third", **LORA)
    assert (logits(through_peft(third)) - logits(through_peft(third / "checkpoint-20"))).abs().max() < 1e-4
    whole = chain(str(third))
    assert (str(whole.base.folder), len(whole.adapters)) == (str(tiny), 1)
    assert len(whole.adapters[0].contains) == 4  # first, what second trained, second, what third trained


def test_without_peft_the_merged_model_is_trained_whole(train: Train, tiny: Path):
    from transformers import AutoModelForCausalLM

    first = train(model_name_or_path=str(tiny), output_dir="first", **LORA)
    second = train(model_name_or_path=str(first), output_dir="second", learning_rate=1e-9)

    assert not (second / "adapter_config.json").exists()
    trained = AutoModelForCausalLM.from_pretrained(second)
    assert (logits(trained) - logits(through_peft(first))).abs().max() < 1e-3
    facts = json.loads((second / "align" / "manifest.json").read_text())["facts"]
    assert facts["parameters"]["trained"] == facts["parameters"]["total"]
    assert [link["name"] for link in facts["chain"]["adapters"]] == [str(first)]


def test_a_checkpoint_of_such_a_run_is_a_model_too(train: Train, tiny: Path):
    first = train(model_name_or_path=str(tiny), output_dir="first", **LORA)
    second = train(model_name_or_path=str(first), output_dir="second", **LORA)

    found = chain(str(second / "checkpoint-5"))

    assert found.base.folder == tiny
    assert [link.name for link in found.adapters] == [str(first), str(second / "checkpoint-5")]
