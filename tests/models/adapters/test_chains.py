"""From an adapter to its base, and every way in which that can go wrong, each with one clear message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from align_cli.errors import LaunchError, UsageError
from align_cli.models.adapters import chains as adapters
from align_cli.models.adapters import fits
from align_cli.models.adapters.chains import RECORD
from align_cli.models.adapters.lora import METADATA
from align_cli.models.finding import headers
from align_cli.models.fitting import misfits
from align_cli.models.locate import chain, check
from align_cli.recipe import load
from align_cli.tasks import sft
from tests.models.conftest import edit
from tests.models.files import adapter_files, model_files, write_tensors

pytestmark = pytest.mark.usefixtures("cache")


def test_a_plain_model_is_a_chain_without_adapters(tmp_path: Path) -> None:
    base = model_files(tmp_path / "base")

    found = chain(str(base))

    assert (found.base.folder, found.adapters) == (base, ())


def test_adapters_come_in_the_order_in_which_they_were_trained(tmp_path: Path) -> None:
    base = model_files(tmp_path / "base")
    first = adapter_files(tmp_path / "first", base, mark=1)
    second = adapter_files(tmp_path / "second", first, mark=2)

    found = chain(str(second))

    assert found.base.folder == base
    assert [link.folder for link in found.adapters] == [first, second]
    said = json.loads(json.dumps(found.as_dict()))
    assert [link["name"] for link in said["adapters"]] == [str(first), str(second)]
    assert len({said["base"]["digest"], *(link["digest"] for link in said["adapters"])}) == 3


def test_the_digest_is_that_of_the_content_wherever_it_lies(tmp_path: Path) -> None:
    base = model_files(tmp_path / "base")
    one = adapter_files(tmp_path / "one", base, mark=1)
    moved = adapter_files(tmp_path / "moved", base, mark=1, revision="abc")
    other = adapter_files(tmp_path / "other", base, mark=1, lora_alpha=99)

    digests = [chain(str(folder)).adapters[0].digest for folder in (one, moved, other)]

    assert digests[0] == digests[1] != digests[2]


def test_adapters_that_name_each_other_are_a_circle(tmp_path: Path) -> None:
    first = adapter_files(tmp_path / "first", tmp_path / "second", mark=1)
    adapter_files(tmp_path / "second", first, mark=2)

    with pytest.raises(UsageError, match=r"name each other as their base: .*first -> .*second -> .*first"):
        chain(str(first))


@pytest.mark.parametrize("named", [None, "", "./gone"])
def test_an_adapter_without_a_base_says_how_to_name_one(tmp_path: Path, named: str | None) -> None:
    adapter = adapter_files(tmp_path / "adapter", named)

    problem = check(str(adapter))

    assert problem is not None
    assert "--base" in problem.hint
    base = model_files(tmp_path / "base")
    assert chain(str(adapter), base=str(base)).base.folder == base


def test_a_base_for_a_whole_model_is_a_mistake(tmp_path: Path) -> None:
    base = model_files(tmp_path / "base")

    with pytest.raises(UsageError, match="whole model, which needs no base"):
        chain(str(base), base=str(base))


def test_a_base_on_the_hub_is_left_to_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
    adapter = adapter_files(tmp_path / "adapter", "some-owner/some-model", revision="v1")

    assert check(str(adapter)) is None
    with pytest.raises(LaunchError, match=r"some-owner/some-model@v1: .*not in the cache"):
        chain(str(adapter))
    with pytest.raises(LaunchError, match=r"some-owner/some-model@v2: .*not in the cache"):
        chain(str(adapter), base_revision="v2")


def test_the_commit_of_a_hub_model_is_its_revision(tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    base = model_files(tmp_path / "models--o--m" / "snapshots" / commit)
    adapter = adapter_files(tmp_path / "adapter", base)

    assert chain(str(adapter)).base.revision == commit


def test_a_run_whose_converted_base_left_the_cache_finds_it_by_its_recipe(tmp_path: Path, cache: Path) -> None:
    base = model_files(tmp_path / "base")
    run = adapter_files(tmp_path / "run", cache / "models" / "gone")
    (run / "align").mkdir()
    (run / "align" / "recipe.json").write_text(json.dumps({"values": {"model_name_or_path": str(base)}}))

    assert chain(str(run)).base.folder == base


def test_a_base_that_was_asked_for_is_used_or_refused_never_replaced(tmp_path: Path) -> None:
    base = model_files(tmp_path / "base")
    run = adapter_files(tmp_path / "run", base)
    (run / "align").mkdir()
    (run / "align" / "recipe.json").write_text(json.dumps({"values": {"model_name_or_path": str(base)}}))
    (tmp_path / "pairs.jsonl").write_text("{}")

    for wrong, message in (("pairs.jsonl", "this file is not a model"), ("gone", "no such folder")):
        with pytest.raises(UsageError, match=message):
            chain(str(run), base=str(tmp_path / wrong))


def test_an_adapter_inside_another_is_named_as_the_part(tmp_path: Path) -> None:
    base = model_files(tmp_path / "base")
    lora = adapter_files(tmp_path / "lora", base, mark=1)
    dpo = adapter_files(tmp_path / "dpo", base, mark=2)
    kto = adapter_files(tmp_path / "kto", base, mark=3)
    inner = {"base": {}, "adapters": [{"digest": chain(str(lora)).adapters[0].digest}]}
    for one, mark in ((dpo, 2), (kto, 3)):
        shapes = {
            name: tensor.shape for name, tensor in headers.read(one / "adapter_model.safetensors").tensors.items()
        }
        metadata = {METADATA: json.dumps(inner)}
        write_tensors(one / "adapter_model.safetensors", shapes, mark=mark, metadata=metadata)

    with pytest.raises(UsageError, match=rf"{lora}: this adapter is already part of {dpo}") as caught:
        chain(str(dpo), base=str(lora))
    assert caught.value.hint == f"use {dpo} without it"
    with pytest.raises(UsageError, match=rf"{kto} and {dpo} hold the same earlier adapter"):
        chain(str(kto), base=str(dpo))


def test_the_wrong_size_of_base_is_named(tmp_path: Path) -> None:
    base = model_files(tmp_path / "base", width=8)
    adapter = adapter_files(tmp_path / "adapter", base, width=6)

    problem = check(str(adapter))

    assert problem is not None
    assert "does not fit its base" in problem.message
    assert "model.layers.0.self_attn.q_proj: 6 x 6 instead of 8 x 8" in problem.message
    assert "and 1 more" in problem.message


def test_a_base_with_fewer_layers_is_named(tmp_path: Path) -> None:
    base = model_files(tmp_path / "base", layers=2)
    adapter = adapter_files(tmp_path / "adapter", base, layers=3)

    problem = check(str(adapter))

    assert problem is not None
    assert "(llama), which has no model.layers.2.self_attn.q_proj, model.layers.2.self_attn.v_proj" in problem.message


def test_another_architecture_is_named(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    write_tensors(
        base / "model.safetensors", {"transformer.wte.weight": (16, 8), "transformer.h.0.attn.weight": (8, 8)}
    )
    (base / "config.json").write_text('{"model_type": "gpt2"}')

    problem = check(str(adapter_files(tmp_path / "adapter", base)))

    assert problem is not None
    assert "(gpt2), which has no model.layers.0.self_attn.q_proj" in problem.message


def test_a_checkpoint_without_the_outermost_name_fits(tmp_path: Path) -> None:
    base = model_files(tmp_path / "base")
    shapes = {name.removeprefix("model."): one.shape for name, one in headers.weights(base).items()}
    write_tensors(base / "model.safetensors", shapes)

    assert fits.problems(chain(str(adapter_files(tmp_path / "adapter", base)))) == []


def test_a_quantised_base_is_no_base(tmp_path: Path) -> None:
    base = model_files(tmp_path / "base", config={"quantization_config": {"quant_method": "bitsandbytes"}})

    problem = check(str(adapter_files(tmp_path / "adapter", base)))

    assert problem is not None
    assert "stored quantised (bitsandbytes)" in problem.message


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"peft_type": "PROMPT_TUNING"}, "PROMPT_TUNING learns virtual tokens"),
        ({"task_type": "SEQ_2_SEQ_LM"}, "this adapter is for SEQ_2_SEQ_LM"),
        ({"layer_replication": [[0, 2]]}, "repeats layers"),
        ({"init_lora_weights": "pissa_niter_16"}, "began as pissa_niter_16"),
        ({"r": 3}, r"gives model\.layers\.0\.self_attn\.q_proj rank 3, but A is 2 x 8"),
    ],
)
def test_what_cannot_be_a_model_is_refused_from_its_config(
    tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    import re

    problem = check(str(adapter_files(tmp_path / "adapter", model_files(tmp_path / "base"), **settings)))

    assert problem is not None
    assert re.search(words, problem.message)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "adapter_config.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "adapter_config.json").write_text("{}"), "names no peft_type"),
        (lambda folder: (folder / "adapter_model.safetensors").unlink(), "a config and no weights"),
        (lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"<html>"), "damaged"),
        (lambda folder: _cut(folder / "adapter_model.safetensors"), "it should have"),
        (lambda folder: _lose_half(folder / "adapter_model.safetensors"), "half of the adapter"),
        (lambda folder: model_files(folder), "holds a whole model and an adapter"),
    ],
    ids=["config", "no adapter", "no weights", "no safetensors", "cut off", "half", "two models"],
)
def test_a_damaged_adapter_is_named(tmp_path: Path, damage: Any, words: str) -> None:
    adapter = adapter_files(tmp_path / "adapter", model_files(tmp_path / "base"))
    damage(adapter)

    problem = check(str(adapter))

    assert problem is not None
    assert words in problem.message
    assert str(adapter) in problem.where


def test_a_base_that_lacks_a_shard_is_named(tmp_path: Path) -> None:
    base = model_files(tmp_path / "base")
    adapter = adapter_files(tmp_path / "adapter", base)
    names = dict.fromkeys(headers.weights(base), "model-2.safetensors")
    (base / headers.INDEX).write_text(json.dumps({"weight_map": names}))

    problem = check(str(adapter))

    assert problem is not None
    assert "the shard model-2.safetensors is missing" in problem.message


def test_an_adapter_is_never_merged_twice(tmp_path: Path) -> None:
    base = model_files(tmp_path / "base")
    adapter = adapter_files(tmp_path / "adapter", base, mark=1)
    merged = model_files(tmp_path / "merged")
    (merged / "align").mkdir()
    (merged / RECORD).write_text(json.dumps({"role": "model", "chain": chain(str(adapter)).as_dict()}))

    edit(adapter, base_model_name_or_path=str(merged))
    problem = check(str(adapter))
    other = adapter_files(tmp_path / "other", merged, mark=2)

    assert problem is not None
    assert "this adapter is already part of" in problem.message
    assert chain(str(other)).base.contains == (chain(str(adapter), base=str(base)).adapters[0].digest,)


def test_the_same_adapter_twice_in_a_chain_is_refused(tmp_path: Path) -> None:
    base = model_files(tmp_path / "base")
    first = adapter_files(tmp_path / "first", base, mark=1)
    copy = adapter_files(tmp_path / "copy", first, mark=1)

    problem = check(str(copy))

    assert problem is not None
    assert "would act twice" in problem.message


def test_what_was_stacked_into_an_adapter_counts_as_part_of_it(tmp_path: Path) -> None:
    base = model_files(tmp_path / "base")
    first = adapter_files(tmp_path / "first", base, mark=1)
    digest = chain(str(first)).adapters[0].digest
    stacked = adapter_files(tmp_path / "stacked", first, mark=2)
    file = stacked / "adapter_model.safetensors"
    said = {"base": {"name": "b", "digest": "0"}, "adapters": [{"name": "first", "digest": digest}]}
    shapes = {name: one.shape for name, one in headers.read(file).tensors.items()}
    write_tensors(file, shapes, mark=2, metadata={"align.chain": json.dumps(said)})

    problem = check(str(stacked))

    assert problem is not None
    assert "would act twice" in problem.message


def test_a_new_adapter_that_does_not_add_up_is_refused_before_the_work(tmp_path: Path) -> None:
    base = model_files(tmp_path / "base")
    plain = adapter_files(tmp_path / "plain", base, mark=1)
    dora = adapter_files(tmp_path / "dora", base, mark=2, use_dora=True)
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n')

    def problem(model: Path, *words: str) -> str:
        named = [f"model_name_or_path={model}", f"dataset_name={tmp_path / 'rows.jsonl'}", "output_dir=out", *words]
        return " ".join(f"{one.message} {one.hint}" for _, one in misfits(load.load(named, sft.TASK), speaks=True))

    assert problem(plain, "use_peft=true") == ""
    assert problem(dora) == ""
    assert "use_dora is set" in problem(plain, "use_peft=true", "use_dora=true")
    assert f"align model merge {dora} MERGED" in problem(dora, "use_peft=true")


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-4])


def _lose_half(file: Path) -> None:
    shapes = {name: one.shape for name, one in headers.read(file).tensors.items()}
    del shapes["base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"]
    write_tensors(file, shapes)


def test_spelling_is_what_plain_peft_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = model_files(tmp_path / "base")
    monkeypatch.chdir(tmp_path)

    assert adapters.spelling(chain("base").base) == str(base)
