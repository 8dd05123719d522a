from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from align_cli.recipe.schema import Mixture, Source
from align_cli.runs.card import data as card_data
from align_cli.runs.card import method as card_method
from align_cli.runs.card import names as card_names
from align_cli.runs.card import write as card
from align_cli.runs.directory import OURS, PREPARATION

FACTS = {"parameters": {"trained": 10, "total": 100}, "steps": 5, "tokens": 1234, "device": "cpu"}
CHAIN = {
    "base": {"name": "org/base", "revision": "main", "digest": "b" * 64},
    "adapters": [{"name": "org/sft-lora", "revision": "c0ffee", "digest": "a" * 64}],
}


def front(text: str) -> dict[str, Any]:
    return yaml.safe_load(text.split("---")[1])


def recipe_in(text: str) -> dict[str, Any]:
    return yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])


def test_the_card_says_what_the_model_was_made_of(make_recipe, make_prepared):
    text = card.text("out", make_recipe(), make_prepared().report, {"eval_loss": 1.5}, FACTS)

    assert front(text)["base_model"] == "org/base"
    assert front(text)["datasets"] == ["org/chat"]
    assert "| [org/chat](https://huggingface.co/datasets/org/chat) | 10 | 8 |" in text
    assert "100 tokens, 40% of them in the loss." in text
    assert "| Evaluation loss | 1.5000 |" in text
    assert "5 steps, 1,234 tokens" in text
    assert f"Mixture `{'m' * 16}`" in text


def test_every_chosen_value_is_there_as_yaml_that_can_be_read(make_recipe, make_prepared):
    recipe = make_recipe(lr_scheduler_kwargs={"min_lr": 1e-6}, report_to=["tensorboard"], eos_token="<|im_end|>: #")

    values = recipe_in(card.text("out", recipe, make_prepared().report, {}, {}))

    assert values == {
        "model_name_or_path": "org/base",
        "learning_rate": 1e-4,
        "lr_scheduler_kwargs": {"min_lr": 1e-6},
        "report_to": ["tensorboard"],
        "eos_token": "<|im_end|>: #",
    }


def test_local_places_are_not_told(tmp_path: Path, make_recipe, make_prepared):
    secret = tmp_path / "secret-project"
    report = make_prepared().report
    report["mixture"]["sources"] = [
        {"label": str(secret / "rows.jsonl"), "path": str(secret / "rows.jsonl"), "kind": "file", "kept": 3}
    ]
    recipe = make_recipe(
        model_name_or_path=str(secret / "base"),
        deepspeed=str(secret / "zero.json"),
        model_init_kwargs={"offload_folder": f"{secret}/offload"},
        logging_dir=str(secret),
    )
    facts = {"chain": {"base": {"name": str(secret / "base")}, "adapters": [{"name": str(secret / "lora")}]}}

    text = card.text("out", recipe, report, {}, facts)

    assert "secret-project" not in text
    assert str(tmp_path) not in text
    assert "base_model" not in front(text)
    assert "datasets" not in front(text)
    assert "`rows.jsonl`" in text


def test_a_local_path_that_comes_through_a_value_is_cut(tmp_path, make_recipe):
    (tmp_path / OURS).mkdir()

    card.write(tmp_path, make_recipe(run_name=f"as in {tmp_path}/notes"), metrics={}, facts={})

    assert str(tmp_path) not in (tmp_path / "README.md").read_text()
    assert "as in notes" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize(
    ("values", "told", "said"),
    [
        ({}, {"model": "/models/sft", "separate": False, "digest": "d" * 64, "train_rows": 3},
         f"the model that training started from (sha256 `{'d' * 16}`), its log-probabilities computed once"),
        ({}, {"model": "/models/other", "separate": True}, "reference model: `other`"),
        ({"ref_model_name_or_path": "org/other"}, {}, "reference model: [org/other](https://huggingface.co/org/other)"),
    ],
)  # fmt: skip
def test_the_reference_is_what_the_run_used(make_recipe, values, told, said):
    assert said in card_method.section(make_recipe(task="dpo", **values), {"reference": told})


def test_a_handbook_recipe_keeps_its_tag(make_recipe, make_prepared):
    text = card.text("out", make_recipe(profile="handbook-2023"), make_prepared().report, {}, {})

    assert "alignment-handbook" in front(text)["tags"]


def test_a_secret_of_the_recipe_is_not_in_the_card(tmp_path: Path, make_recipe, make_prepared):
    (tmp_path / OURS).mkdir()
    (tmp_path / OURS / PREPARATION).write_text("{}")
    recipe = make_recipe(env={"WANDB_API_KEY": "do-not-tell-anyone"}, run_name="do-not-tell-anyone")

    card.write(tmp_path, recipe, metrics={}, facts={})

    assert "do-not-tell-anyone" not in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize(
    ("task", "values", "said"),
    [
        (
            "dpo",
            {"beta": 0.05},
            ["arXiv:2305.18290", "- beta: 0.05", "reference model: the model that training started"],
        ),
        ("dpo", {"loss_type": ["ipo"]}, ["- loss: `ipo`", "arXiv:2310.12036"]),
        (
            "dpo",
            {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.2]},
            [
                "`sigmoid`: the loss of the DPO paper, weight 1.0",
                "`sft`: the likelihood of the chosen answers, weight 0.2",
            ],
        ),
        ("dpo", {"use_peft": True}, ["the adapter switched off", "arXiv:2106.09685"]),
        ("dpo", {"precompute_ref_log_probs": True}, ["its log-probabilities computed once"]),
        ("dpo", {"use_peft": True, "load_in_4bit": True, "lora_r": 16}, ["QLoRA", "arXiv:2305.14314", "rank 16"]),
        ("orpo", {"beta": 0.1}, ["arXiv:2403.07691", "without a reference model"]),
        ("kto", {"loss_type": "apo_zero_unpaired"}, ["arXiv:2402.01306", "arXiv:2408.06266"]),
        ("reward", {}, ["Reward modelling", "Bradley & Terry"]),
        ("sft", {}, ["Supervised fine-tuning"]),
        ("cpt", {}, ["Continued pre-training"]),
        ("distil", {}, ["Trained with the task `distil`."]),
    ],
)
def test_the_method_is_said_with_its_paper(make_recipe, task, values, said):
    text = card_method.section(make_recipe(task=task, **values), {})

    for words in said:
        assert words in text
    assert ("reference model:" in text) is (task in ("dpo", "kto"))


def test_every_dpo_loss_of_the_installed_trl_has_a_line():
    from align_cli.recipe.fields import fields_of

    help_text = fields_of(("trl.trainer.dpo_config:DPOConfig",))["loss_type"].help
    names = set(re.findall(r"'(\w+)'", help_text))

    assert len(names) >= 15
    assert names <= card_method.methods()["loss"]["dpo"].keys()


def test_arxiv_ids_look_like_such():
    entries = [e for group in card_method.methods().values() for e in group.values()]
    entries += [e for losses in card_method.methods()["loss"].values() for e in losses.values()]
    ids = [entry["arxiv"] for entry in entries if isinstance(entry, dict) and "arxiv" in entry]

    assert len(ids) >= 15
    assert all(re.fullmatch(r"2[0-9]{3}\.[0-9]{5}", found) for found in ids)


def test_a_chain_of_adapters_is_listed(make_recipe, make_prepared):
    recipe = make_recipe(use_peft=True, model_name_or_path="org/sft-lora")

    text = card.text("out", recipe, make_prepared().report, {}, {**FACTS, "chain": CHAIN})

    assert front(text)["base_model"] == "org/base"
    assert front(text)["base_model_relation"] == "adapter"
    assert front(text)["library_name"] == "peft"
    assert f"- adapter: [org/sft-lora](https://huggingface.co/org/sft-lora) at `c0ffee` (sha256 `{'a' * 16}`)" in text


def test_evaluations_become_a_section_and_a_model_index(make_recipe, make_prepared):
    measured = {"MT-Bench": {"score": 6.25, "first turn": 6.5}}

    text = card.text("out", make_recipe(), make_prepared().report, {"eval_loss": 1.5}, {}, evaluations=measured)

    assert "### MT-Bench" in text
    assert "| score | 6.25 |" in text
    (index,) = front(text)["model-index"]
    assert index["results"][0]["metrics"][0] == {"type": "score", "name": "score", "value": 6.25}


def test_the_trainings_own_evaluation_is_no_benchmark(make_recipe, make_prepared):
    text = card.text("out", make_recipe(), make_prepared().report, {"eval_loss": 1.5}, {})

    assert "model-index" not in front(text)


def test_metrics_of_preferences_and_unknown_ones_are_listed_without_clocks(make_recipe, make_prepared):
    metrics = {
        "eval_rewards/accuracies": 0.75,
        "eval_teacher/agreement": 0.5,
        "eval_runtime": 3.0,
        "eval_samples": 6,
        "eval_loss": None,
    }

    text = card.text("out", make_recipe(task="dpo"), make_prepared().report, metrics, {})

    assert "| Pairs in which the chosen answer has the higher reward | 0.7500 |" in text
    assert "| `eval_teacher/agreement` | 0.5000 |" in text
    assert "eval_runtime" not in text
    assert "eval_samples" not in text


@pytest.mark.parametrize("task", ["cpt", "sft", "dpo", "orpo", "kto", "reward", "distil"])
@pytest.mark.parametrize("use_peft", [True, False])
def test_the_hubs_own_reader_takes_the_card(make_recipe, make_prepared, task, use_peft):
    from huggingface_hub import ModelCard, ModelCardData

    recipe = make_recipe(task=task, use_peft=use_peft, mixture=Mixture(sources=(Source(path="org/chat"),)))
    text = card.text("out", recipe, make_prepared().report, {}, FACTS, evaluations={"MT-Bench": {"score": 6.0}})

    read = ModelCard(text)

    assert isinstance(read.data, ModelCardData)
    assert read.data.base_model == "org/base"
    assert read.data.base_model_relation == ("adapter" if use_peft else "finetune")
    assert read.data.datasets == ["org/chat"]
    assert read.data.pipeline_tag == ("text-classification" if task == "reward" else "text-generation")
    assert task in read.data.tags
    assert read.data.eval_results[0].metric_value == 6.0
    assert read.text.startswith("\n# out")


def test_the_licence_of_a_packages_data_is_the_packages():
    assert card_data.licence_of({"path": "pkg://plotille/x.jsonl"}) == "MIT"
    assert card_data.licence_of({"path": "pkg://no_such_package/x.jsonl"}) == ""


def test_the_licence_of_a_data_set_is_read_from_its_page_in_the_cache(tmp_path, monkeypatch):
    commit = "c" * 40
    folder = tmp_path / "datasets--org--chat"
    (folder / "snapshots" / commit).mkdir(parents=True)
    (folder / "snapshots" / commit / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# Chat\n")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path))

    source = {"path": "org/chat", "kind": "hub", "identity": {"hub": "org/chat", "commit": commit}}

    assert card_data.licence_of(source) == "cc-by-4.0"
    assert card_data.licence_of({"path": "org/other", "identity": {"hub": "org/other"}}) == ""


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("org/model", "org/model"),
        ("pkg://pack/file.gguf", "pkg://pack/file.gguf"),
        ("/home/me/model", "model"),
        ("models/mine/sft/", "sft"),
        ("~/x", "x"),
        ("data/rows.jsonl", "rows.jsonl"),
        ("C:\\Users\\me\\model", "model"),
    ],
)
def test_only_the_last_part_of_a_local_name_is_told(name, shown):
    assert card_names.public(name) == shown


def code_in(text: str) -> str:
    return re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chat model, an adapter on it, a reward model and an adapter on that, by name."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

    from tests.models.tiny import tiny_model

    place = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=259, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, eos_token_id=258, pad_token_id=258, bos_token_id=256,
        num_labels=1,
    )  # fmt: skip
    for name, kind, task in (
        ("chat", LlamaForCausalLM, "CAUSAL_LM"),
        ("reward", LlamaForSequenceClassification, "SEQ_CLS"),
    ):
        tiny_model(place / name)
        kind(config).save_pretrained(place / name)
        tokenizer = AutoTokenizer.from_pretrained(place / name)
        adapted = get_peft_model(kind.from_pretrained(place / name), LoraConfig(task_type=task, r=2))
        adapted.save_pretrained(place / f"{name}-lora")
        tokenizer.save_pretrained(place / f"{name}-lora")
    return place


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "task", "use_peft", "template"),
    [
        ("chat", "sft", False, {"source": "the tokenizer"}),
        ("chat", "cpt", False, None),
        ("chat-lora", "dpo", True, {"source": "the tokenizer"}),
        ("chat-lora", "cpt", True, None),
        ("reward", "reward", False, {"source": "the tokenizer"}),
        ("reward-lora", "reward", True, {"source": "the tokenizer"}),
    ],
)
def test_the_code_on_the_card_runs(tiny, make_recipe, model, task, use_peft, template):
    recipe = make_recipe(task=task, use_peft=use_peft, hub_model_id=str(tiny / model))
    code = code_in(card.text("out", recipe, {"template": template}, {}, {}))

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)

    assert done.returncode == 0, done.stderr
    assert done.stdout
    if task == "reward":
        float(done.stdout)
