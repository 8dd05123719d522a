from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Align
from tests.models.conftest import adapt, llama  # noqa: F401  fixtures
from tests.models.files import adapter_files, model_files, write_tensors
from tests.models.tiny import tiny_model

Make = Callable[..., Path]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A model with weights of zeros and the tiny tokenizer: 259 tokens, 16 rows."""
    tiny_model(tmp_path / "base")
    (tmp_path / "base" / "generation_config.json").write_text('{"eos_token_id": 258, "use_cache": true}')
    return model_files(tmp_path / "base", config={"max_position_embeddings": 64, "num_attention_heads": 2})


def test_info_tells_what_a_model_is(align: Align, base: Path):
    view = align("model", "info", "base", "--json").document

    assert view["holds"] == "model"
    assert view["architecture"]["layers"] == 2
    assert view["weights"] == {
        "parameters": 16 * 8 + 4 * 64, "dtypes": {"float32": 384}, "shards": 1,
        "bytes": (base / "model.safetensors").stat().st_size,
    }  # fmt: skip
    assert view["context_length"] == 64
    assert view["vocabulary"] == {"tokenizer": 259, "embeddings": 16, "is_tied": True, "exceeds": True}
    assert "259 tokens and the model rows for 16" in view["problems"][0]
    assert view["special_tokens"] == {"eos_token": "<|im_end|>"}
    assert view["chat_template"]["closes_with"] == "<|im_end|>"
    assert not view["chat_template"]["has_markers"]
    assert view["generation"] == {"eos_token_id": 258}


@pytest.mark.parametrize(
    ("template", "closes", "shipped"),
    [("chatml", "<|im_end|>", "chatml"), ("zephyr", "<|im_end|>", "zephyr"), (None, None, None)],
)
def test_info_tells_how_a_template_closes_a_turn(
    align: Align, base: Path, template: str | None, closes: str | None, shipped: str | None
):
    from align_cli.models import templates

    place = base / "chat_template.jinja"
    place.write_text(templates.shipped(template).text) if template else place.unlink()

    said = align("model", "info", "base", "--json").document["chat_template"]

    assert (said and said["closes_with"], said and said["same_as"]) == (closes, shipped)


def test_info_shows_an_adapter_and_its_chain(align: Align, base: Path, tmp_path: Path):
    adapter_files(tmp_path / "sft", base, mark=1)
    adapter_files(tmp_path / "dpo", tmp_path / "sft", mark=2, rank=4, use_rslora=True)

    done = align("model", "info", "dpo")

    assert done.code == 0
    for words in ("LORA, use_rslora", "4, alpha 8", "4 weights: q_proj, v_proj", str(base), str(tmp_path / "sft")):
        assert words in done.out


def test_info_tells_what_made_a_run_and_its_checkpoints(align: Align, base: Path):
    manifest = {
        "task": "sft", "finished": "2026-01-01", "model": {"name": "org/base"}, "metrics": {"train_loss": 1.25},
        "data": {"digest": "d", "mixture": {"sources": [{"label": "chats"}]}}, "facts": {"steps": 7},
    }  # fmt: skip
    (base / "align").mkdir()
    (base / "align" / "manifest.json").write_text(json.dumps(manifest))
    model_files(base / "checkpoint-7")

    for name in ("base", "base/checkpoint-7"):
        made = align("model", "info", name, "--json").document["made_by"]
        assert (made["task"], made["from"], made["data"], made["steps"]) == ("sft", "org/base", ["chats"], 7)
        assert made["results"] == {"train_loss": 1.25}


def test_info_of_an_adapter_whose_base_is_gone_still_tells_of_the_adapter(align: Align, tmp_path: Path):
    adapter_files(tmp_path / "lost", "./nowhere")

    view = align("model", "info", "lost", "--json").document

    assert view["adapter"]["rank"] == 2
    assert view["weights"] is None
    assert "nowhere" in view["problems"][0]


@pytest.mark.parametrize("base", ["file", "some-owner/some-model", "./nothing"])
def test_info_does_not_invent_a_base_that_was_asked_for(align: Align, tmp_path: Path, base: str):
    adapter_files(tmp_path / "lost", "./nowhere")
    (tmp_path / "file").touch()

    asked = align("model", "info", "lost", "--base", base)
    view = align("model", "info", "lost", "--json").document

    assert (asked.code, asked.out) == (2, "")
    assert view["chain"]["base"] == {"name": "./nowhere", "revision": None, "folder": None}


def test_info_of_an_adapter_keeps_the_base_s_weights_apart(align: Align, base: Path, tmp_path: Path):
    adapter_files(tmp_path / "sft", base)

    page = align("model", "info", "sft").out

    assert page.index("Adapter") < page.index("rank") < page.index("Base") < page.index("weights ")


@pytest.mark.parametrize("words", [("chat", "{}", "hi"), ("model", "info", "{}"), ("model", "merge", "{}")])
def test_a_run_without_a_model_tells_its_state_and_a_checkpoint_that_can_be_used(
    align: Align, tmp_path: Path, words: tuple[str, ...]
):
    from tests.runs import folders

    folders.checkpoint(folders.prepared(tmp_path / "runs" / "cut"), 2)
    folders.failed(folders.prepared(tmp_path / "runs" / "broken"))

    for run, state in (("cut", "this run was interrupted"), ("broken", "this run failed")):
        done = align(*(word.format(f"runs/{run}") for word in words))
        assert done.code == 2
        assert f"runs/{run}: {state} and has no model" in done.err
        assert ("checkpoint-2 can be used" in done.err) is (run == "cut")


@pytest.mark.parametrize(
    "command", [("chat", "hi"), ("model", "info"), ("model", "merge"), ("model", "export", "--gguf")]
)
@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("runs/sf", "did you mean runs/sft?"),
        ("sft", "did you mean runs/sft?"),
        ("runs/zzzzzz", "align runs ls lists"),
        ("./sft", "did you mean runs/sft?"),
    ],
)
def test_a_path_that_is_no_run_gets_the_same_answer_everywhere(
    align: Align, tmp_path: Path, command: tuple[str, ...], word: str, hint: str
):
    from tests.runs import folders

    folders.prepared(tmp_path / "runs" / "sft")
    at = 1 if command[0] == "chat" else 2

    done = align(*command[:at], word, *command[at:])

    assert done.code == 2
    assert f"{word}: there is no such folder" in done.err
    assert hint in done.err


def test_info_never_fetches(align: Align):
    done = align("model", "info", "some-owner/some-model", HF_HUB_OFFLINE=None, HF_HUB_CACHE="hub")

    assert done.code == 2
    assert "not on this machine" in done.err
    assert "hf download some-owner/some-model" in done.err


def test_info_loads_nothing_heavy(base: Path, tmp_path: Path):
    adapter_files(tmp_path / "sft", base)
    from tests.cli.test_imports import HEAVY, PROBE

    words = [sys.executable, "-c", PROBE, "model", "info", "sft"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert set(done.stderr.rpartition("MODULES ")[2].split()) & HEAVY == set()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("info", "nothing/at/all"), 2, "no such folder"),
        (("info", "cut"), 2, "damaged"),
        (("merge", "base"), 2, "there is no adapter to merge"),
        (("merge", "wide", "out"), 2, "does not fit its base"),
        (("merge", "prompts", "out"), 2, "virtual tokens"),
        (("merge", "sft", "base"), 2, "is read from there"),
        (("merge", "sft", "full"), 2, "not empty"),
        (("merge", "sft", "."), 2, "the folder you are in"),
        (("merge", "sft", "full/mine/below"), 2, "mine is no folder"),
        (("merge", "sft", "/proc/new/model"), 2, "/proc/new/model cannot be written"),
        (("merge", "sft", "--base", "full/mine"), 2, "this file is not a model"),
        (("merge", "sft", "--base-revision", "v1"), 2, "a local model has no revisions"),
        (("info", "base", "--revision", "v1"), 2, "a local model has no revisions"),
        (("info", "sft", "--revision", "v1"), 2, "a local model has no revisions"),
    ],
)
def test_what_is_wrong_is_said_in_one_message(
    align: Align, base: Path, tmp_path: Path, words: tuple[str, ...], code: int, message: str
):
    adapter_files(tmp_path / "sft", base)
    adapter_files(tmp_path / "wide", base, width=9)
    adapter_files(tmp_path / "prompts", base, peft_type="P_TUNING")
    model_files(tmp_path / "cut")
    file = tmp_path / "cut" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    before = sorted(str(path) for path in tmp_path.rglob("*"))

    done = align("model", *words)

    assert done.code == code
    assert message in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_a_merge_never_takes_the_place_of_a_run_that_is_going_on(align: Align, base: Path, tmp_path: Path):
    from align_cli.runs import directory
    from tests.runs import folders

    adapter_files(tmp_path / "sft", base)
    run = folders.prepared(tmp_path / "going")
    directory.lock(run)

    done = align("model", "merge", "sft", "going", "--force")
    directory.release(run)

    assert done.code == 2
    assert "a run is at work there" in done.err
    assert (run / "align" / "plan.json").is_file()


@pytest.mark.slow
def test_merge_prints_one_document_or_a_page(align: Align, llama: Make, adapt: Make, tmp_path: Path):  # noqa: F811
    adapt("sft", llama(shard="8KB"))

    page = align("model", "merge", "sft")
    view = align("model", "merge", "sft", "other", "--json").document

    assert page.code == 0
    assert "logits differ by at most" in page.out
    assert "writing model-0000" in page.err
    assert (tmp_path / "sft-merged" / "config.json").is_file()
    assert view["folder"] == "other"
    assert view["verified"]["largest"] <= view["verified"]["tolerance"]
    assert "model merged from adapters" in align("model", "info", "other").out


@pytest.mark.slow
def test_a_killed_merge_goes_on_and_an_interrupted_one_leaves_nothing(
    align: Align,
    llama: Make,  # noqa: F811
    adapt: Make,  # noqa: F811
    tmp_path: Path,
    cache: Path,
):
    adapt("sft", llama(shard="8KB"))
    assert align("model", "merge", "sft", "whole").code == 0

    process = _start(tmp_path, cache, "model", "merge", "sft", "out")
    shard = _wait_for(tmp_path, ".out.merging-*/model-00001*.safetensors")
    children = _children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    _wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    assert not (tmp_path / "out").exists()
    assert shard.is_file()
    again = align("model", "merge", "sft", "out")

    assert "going on with a merge that was stopped" in again.err
    for file in (tmp_path / "whole").glob("*.*"):
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()
    assert not list(tmp_path.glob(".out*"))

    process = _start(tmp_path, cache, "model", "merge", "sft", "third")
    _wait_for(tmp_path, ".third.merging-*/model-00001*.safetensors")
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate()[1]
    assert process.returncode == 130
    assert "Traceback" not in said
    assert not list(tmp_path.glob("*third*"))


@pytest.mark.slow
def test_a_failed_merge_leaves_nothing(align: Align, llama: Make, adapt: Make, tmp_path: Path):  # noqa: F811
    adapter = adapt("sft", llama())
    tensors = {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": (4, 16)}
    write_tensors(adapter / "adapter_model.safetensors", tensors)

    done = align("model", "merge", "sft", "out")

    assert done.code == 2
    assert "half of the adapter" in done.err
    assert not list(tmp_path.glob("*out*"))


def _start(folder: Path, cache: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "align_cli", *words],
        cwd=folder,
        env={**os.environ, "ALIGN_CACHE": str(cache), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _wait_for(folder: Path, pattern: str) -> Path:
    _wait_until(lambda: any(folder.glob(pattern)))
    return next(iter(folder.glob(pattern)))


def _wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)
