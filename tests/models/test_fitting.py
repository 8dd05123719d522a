from __future__ import annotations

import json
from pathlib import Path

import pytest

from align_cli.models.fitting import misfits
from align_cli.recipe import load
from align_cli.tasks import dpo
from tests.models.files import adapter_files, model_files

LANGUAGE_MODEL = {"architectures": ["LlamaForCausalLM"]}
CLASSIFIER = {"architectures": ["LlamaForSequenceClassification"]}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "rows.jsonl").write_text(json.dumps({"prompt": "q", "chosen": "a", "rejected": "b"}) + "\n")
    model_files(tmp_path / "base", config=LANGUAGE_MODEL)
    model_files(tmp_path / "scorer", config=CLASSIFIER)
    return tmp_path


def said(*words: str, speaks: bool = True) -> list[str]:
    """Place, message and hint of every misfit of a recipe made of these overrides."""
    recipe = load.load(["dataset_name=rows.jsonl", "model_name_or_path=base", *words], dpo.TASK)
    return [str(one.problem) for one in misfits(recipe, speaks=speaks)]


def test_models_that_fit_are_not_complained_about(here: Path) -> None:
    adapter_files(here / "adapter", here / "base")

    assert said() == []
    assert said("model_name_or_path=adapter", "ref_model_name_or_path=base") == []


@pytest.mark.parametrize("key", ["model_name_or_path", "ref_model_name_or_path"])
def test_a_classifier_is_no_language_model(here: Path, key: str) -> None:
    (found,) = said(f"{key}=scorer")

    assert found.startswith(f"{key}=scorer: this is a classifier")
    assert said(f"{key}=scorer", speaks=False) == []


def test_an_adapter_trained_as_a_classifier_is_one(here: Path) -> None:
    adapter_files(here / "adapter", here / "base", task_type="SEQ_CLS")

    assert "this is a classifier" in said("model_name_or_path=adapter")[0]


def test_a_model_in_the_recipe_s_file_is_blamed_with_key_and_line(here: Path) -> None:
    (here / "recipe.yaml").write_text("# mine\nref_model_name_or_path: ./nope\n")
    words = ["recipe.yaml", "dataset_name=rows.jsonl", "model_name_or_path=base"]

    ((key, problem),) = misfits(load.load(words, dpo.TASK), speaks=True)

    assert key == "ref_model_name_or_path"
    assert problem.where == "recipe.yaml:2"
    assert problem.message == "ref_model_name_or_path: ./nope: there is no such folder or file"


def test_a_misfit_names_the_base_as_the_adapter_does(here: Path) -> None:
    model_files(here / "wide", width=16)
    adapter_files(here / "adapter", "wide")

    assert "does not fit its base wide (llama)" in said("model_name_or_path=adapter")[0]


def test_a_base_in_the_hub_s_cache_is_looked_at(here: Path) -> None:
    commit = "0123456789" * 4
    repository = here / "hub" / "models--some--base"
    model_files(repository / "snapshots" / commit, width=16)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    adapter_files(here / "adapter", "some/base")

    assert "does not fit its base some/base" in said("model_name_or_path=adapter")[0]

    (repository / "snapshots" / commit / "model.safetensors").unlink()

    assert said("model_name_or_path=adapter") == []


@pytest.mark.parametrize(
    "targets", ["q_proj", "self_attn.q_proj", "[q_proj, gate_proj]", "all-linear", ".*_prj", "(x|y)"]
)
def test_targets_that_the_model_has_and_patterns_pass(here: Path, targets: str) -> None:
    assert said("use_peft=true", f"lora_target_modules={targets}") == []


@pytest.mark.parametrize("key", ["lora_target_modules", "lora_modules_to_save"])
def test_a_misspelt_module_is_known_before_the_work(here: Path, key: str) -> None:
    (found,) = said("use_peft=true", f"{key}=q_prj")

    assert found == f"{key}=q_prj: base has no module q_prj (did you mean q_proj?)"
    assert said("use_peft=false", f"{key}=q_prj") == []


def test_modules_that_are_kept_whole_may_be_heads_and_parts(here: Path) -> None:
    assert said("use_peft=true", "lora_modules_to_save=[lm_head, embed_tokens, self_attn]") == []


def test_targets_of_a_model_of_experts_are_not_judged(here: Path) -> None:
    from tests.models.files import write_tensors

    write_tensors(here / "base" / "model.safetensors", {"model.layers.0.mlp.experts.0.w1.weight": (4, 4)})

    assert said("use_peft=true", "lora_target_modules=gate_up_proj") == []


@pytest.mark.slow
@pytest.mark.parametrize(("targets", "as_peft_has_it"), [("q_proj", {"q_proj"}), (".*q_proj", ".*q_proj")])
def test_one_name_is_a_name_to_peft_and_one_pattern_a_pattern(here: Path, targets: str, as_peft_has_it: object) -> None:
    from align_cli.models import load as loading

    words = ["dataset_name=rows.jsonl", "model_name_or_path=base", "use_peft=true", f"lora_target_modules={targets}"]
    config = loading.adapter(load.load(words, dpo.TASK))

    assert config.target_modules == as_peft_has_it
