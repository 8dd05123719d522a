"""From a recipe file to a model that plain transformers opens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from align_cli.errors import TrainingError, UsageError
from tests.end_to_end.conftest import Train, curve
from tests.runs import hub_server

pytestmark = pytest.mark.slow


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in curve(run) if "loss" in line]


def test_the_run_directory_holds_the_model_and_the_story_of_it(train: Train, tiny: Path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    run = train(model_name_or_path=str(tiny), eval_strategy="steps", eval_steps=10, save_total_limit=1)

    assert losses(run)[-1] < losses(run)[0]
    model = AutoModelForCausalLM.from_pretrained(run)
    assert model.config._attn_implementation == "sdpa"
    assert model.config.use_cache
    assert AutoTokenizer.from_pretrained(run).chat_template == (tiny / "chat_template.jinja").read_text()
    for name in ("README.md", "train_results.json", "eval_results.json", "all_results.json", "trainer_state.json"):
        assert (run / name).is_file(), name
    manifest = json.loads((run / "align" / "manifest.json").read_text())
    assert manifest["facts"]["steps"] == 20
    assert manifest["facts"]["parameters"]["trained"] == manifest["facts"]["parameters"]["total"]
    assert manifest["metrics"]["eval_loss"] == json.loads((run / "eval_results.json").read_text())["eval_loss"]
    assert manifest["files"]["model.safetensors"]["bytes"] == (run / "model.safetensors").stat().st_size
    assert [path.name for path in run.glob("checkpoint-*")] == ["checkpoint-20"]
    assert not list(run.glob("align/.*"))


def test_the_losses_are_those_of_trl_with_the_same_tokens(train: Train, tiny: Path, tmp_path: Path):
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    run = train(model_name_or_path=str(tiny), logging_steps=1, eval_strategy="epoch", assistant_only_loss=False)
    data = Path(json.loads((run / "align" / "plan.json").read_text())["data"])
    config = SFTConfig(
        output_dir=str(tmp_path / "trl"), per_device_train_batch_size=3, learning_rate=1e-2, num_train_epochs=1,
        logging_steps=1, eval_strategy="epoch", save_strategy="no", gradient_checkpointing=False, bf16=False,
        report_to="none", dataset_kwargs={"skip_prepare_dataset": True}, max_length=1024,
    )  # fmt: skip
    trainer = SFTTrainer(
        str(tiny),
        args=config,
        train_dataset=Dataset.from_file(str(data / "train.arrow")),
        eval_dataset=Dataset.from_file(str(data / "eval.arrow")),
    )
    trainer.train()

    theirs = [entry for entry in trainer.state.log_history if "train_runtime" not in entry]
    ours = [entry for entry in curve(run) if "train_loss" not in entry]
    assert len(ours) == len(theirs) == 21
    for mine, other in zip(ours, theirs, strict=True):
        assert mine["step"] == other["step"]
        for key in ("loss", "eval_loss", "grad_norm", "learning_rate", "num_tokens", "entropy", "mean_token_accuracy"):
            if key in other:
                assert mine[key] == pytest.approx(other[key], abs=1e-4), (key, mine["step"])


def test_packed_rows_do_not_see_each_other(train: Train, tiny: Path):
    """One pack of all rows has the mean loss of the rows alone."""
    plain = train(model_name_or_path=str(tiny), output_dir="plain", per_device_train_batch_size=60, logging_steps=1)
    packed = train(
        model_name_or_path=str(tiny), output_dir="packed", packing=True, max_length=512,
        per_device_train_batch_size=60, logging_steps=1,
    )  # fmt: skip

    assert losses(packed)[0] == pytest.approx(losses(plain)[0], abs=1e-5)


def test_a_loss_that_is_not_a_number_ends_the_run_and_leaves_its_reason(train: Train, tiny: Path):
    with pytest.raises(TrainingError, match="the loss became"):
        train(model_name_or_path=str(tiny), learning_rate=1e30, max_grad_norm=0)

    failure = json.loads(Path("out/align/failure-0.json").read_text())
    assert failure["type"] == "TrainingError"
    assert not Path("out/model.safetensors").exists()
    assert not Path("out/align/manifest.json").exists()


def test_damaged_weights_are_named_and_nothing_is_trained(train: Train, tiny: Path, tmp_path: Path):
    import shutil

    broken = shutil.copytree(tiny, tmp_path / "broken")
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])

    with pytest.raises(UsageError, match="broken"):
        train(model_name_or_path=str(broken))


def test_a_hub_failure_does_not_lose_the_model(train: Train, tiny: Path):
    run = train(model_name_or_path=str(tiny), push_to_hub=True, hub_model_id="nobody/nothing")

    manifest = json.loads((run / "align" / "manifest.json").read_text())
    assert manifest["published"] is None
    assert "not pushed to the Hub" in manifest["warnings"][0]
    assert (run / "model.safetensors").is_file()


def test_a_finished_model_is_pushed_privately_with_its_card(train: Train, tiny: Path, monkeypatch: pytest.MonkeyPatch):
    with hub_server.serve() as hub:
        monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.endpoint)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        run = train(model_name_or_path=str(tiny), push_to_hub=True, hub_model_id="me/trained", save_steps=5)

    sent = hub.files("me/trained")
    assert hub.repositories["me/trained"].private is True
    assert sent["model.safetensors"] == (run / "model.safetensors").read_bytes()
    assert sent["README.md"] == (run / "README.md").read_bytes()
    assert not any(name.startswith("checkpoint-") for name in sent)
    manifest = json.loads((run / "align" / "manifest.json").read_text())
    assert manifest["published"] == f"{hub.endpoint}/me/trained"
    assert manifest["warnings"] == []
    assert hub_server.TOKEN not in (run / "align" / "manifest.json").read_text()


def test_a_full_disk_is_said_and_the_half_checkpoint_is_removed(
    train: Train, tiny: Path, monkeypatch: pytest.MonkeyPatch
):
    import torch

    saved = torch.save

    def full(value: object, place: object, *args: object, **kwargs: object) -> None:
        if str(place).endswith("checkpoint-10/optimizer.pt"):
            raise OSError(28, "No space left on device")
        saved(value, place, *args, **kwargs)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(TrainingError, match="the disk is full"):
        train(model_name_or_path=str(tiny))

    assert [path.name for path in Path("out").glob("checkpoint-*")] == ["checkpoint-5"]


def test_smollm2_learns_a_few_real_rows_with_an_adapter(train: Train, smollm2: Path, workplace: Path):
    from peft import AutoPeftModelForCausalLM

    rows = [
        {
            "messages": [
                {"role": "user", "content": f"Who wrote note {n}?"},
                {"role": "assistant", "content": "Ada did."},
            ]
        }
        for n in range(16)
    ]
    (workplace / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    run = train(
        model_name_or_path=str(smollm2), use_peft=True, lora_target_modules="all-linear", max_steps=6, logging_steps=1,
        learning_rate=1e-3, save_strategy="no", assistant_only_loss=True, **{"mixture.held_out": None},
    )  # fmt: skip

    assert losses(run)[-1] < losses(run)[0] / 2
    assert AutoPeftModelForCausalLM.from_pretrained(run).peft_config["default"].r == 16
