"""The memory section of a dry run: from a model's own files, for this machine and for named ones."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import pytest

from tests.cli.conftest import RECIPE, ROWS, Align

CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 2048,
    "num_hidden_layers": 24,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 8192,
    "vocab_size": 32000,
    "max_position_embeddings": 4096,
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model's config and headers: its tensors are a hole in the file."""
    shapes = {"model.embed_tokens.weight": (32000, 2048), "lm_head.weight": (32000, 2048), "model.norm.weight": (2048,)}
    for number in range(24):
        layer = f"model.layers.{number}."
        shapes |= {f"{layer}self_attn.{name}_proj.weight": (2048, 2048) for name in ("q", "o")}
        shapes |= {f"{layer}self_attn.{name}_proj.weight": (512, 2048) for name in ("k", "v")}
        shapes |= {f"{layer}mlp.{name}_proj.weight": (8192, 2048) for name in ("gate", "up")}
        shapes |= {f"{layer}mlp.down_proj.weight": (2048, 8192), f"{layer}input_layernorm.weight": (2048,)}
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + math.prod(shape) * 2
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    (tmp_path / "r.yaml").write_text(RECIPE.replace("org/model", str(folder)))
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return folder


def test_a_dry_run_has_the_memory_of_the_plan(align: Align, model: Path) -> None:
    view = align("train", "sft", "r.yaml", "--dry-run", "--json").document

    memory = view["memory"]
    parameters = 2 * 32000 * 2048 + 2048 + 24 * (2 * 2048**2 + 2 * 512 * 2048 + 3 * 8192 * 2048 + 2048)
    assert memory["parameters"] == memory["trainable"] == parameters
    assert memory["planned"]["parts"]["weights"] == 4 * parameters
    assert memory["planned"]["bytes"] == sum(v for k, v in memory["planned"]["parts"].items() if k != "host")
    assert [row["strategy"] for row in memory["table"]] == ["single"]


def test_an_adapter_trains_rank_times_inputs_and_outputs(align: Align, model: Path) -> None:
    words = ("use_peft=true", "lora_r=8", "lora_target_modules=[q_proj,k_proj]")

    view = align("train", "sft", "r.yaml", *words, "--dry-run", "--json").document

    assert view["memory"]["trainable"] == 24 * 8 * (2048 + 2048 + 2048 + 512)


def test_without_targets_an_adapter_is_put_where_peft_puts_it(align: Align, model: Path) -> None:
    pytest.importorskip("peft")

    view = align("train", "sft", "r.yaml", "use_peft=true", "--dry-run", "--json").document

    assert view["memory"]["trainable"] == 24 * 16 * (2048 + 2048 + 2048 + 512)  # queries and values


def test_another_machine_changes_the_plan_and_the_table(align: Align, model: Path) -> None:
    view = align("train", "sft", "r.yaml", "--dry-run", "--on", "2x8xA100-40GB", "--json").document

    assert view["plan"]["num_processes"] == 16
    assert view["plan"]["num_machines"] == 2
    assert view["plan"]["precision"] == "bf16 mixed"
    assert any("planned as if on 2x8xA100-40GB" in note["message"] for note in view["notes"])
    assert len(view["memory"]["table"]) >= 5
    assert view["memory"]["device"] == "A100-40GB"


def test_what_does_not_fit_is_noted_with_remedies(align: Align, model: Path) -> None:
    done = align("train", "sft", "r.yaml", "--dry-run", "--on", "1xT4", "max_length=4096")

    assert done.code == 0
    assert "memory will run out by the estimate" in done.out
    assert "what helps, the cheapest first" in done.out
    assert "does not fit" in done.out


def test_a_model_that_is_elsewhere_has_no_estimate(align: Align, model: Path) -> None:
    view = align("train", "sft", "r.yaml", "model_name_or_path=org/model", "--dry-run", "--json").document

    assert view["memory"]["planned"] is None
    assert "not on this machine" in view["memory"]["why"]


def test_a_run_is_where_it_is(align: Align, model: Path) -> None:
    done = align("train", "sft", "r.yaml", "--on", "8xH100-80GB")

    assert done.code == 2
    assert "--dry-run" in done.err


def test_a_machine_without_a_name_is_refused(align: Align, model: Path) -> None:
    done = align("train", "sft", "r.yaml", "--dry-run", "--on", "")

    assert done.code == 2
    assert "--on names no machine" in done.err


def test_an_unknown_machine_is_refused_with_a_suggestion(align: Align, model: Path) -> None:
    done = align("train", "sft", "r.yaml", "--dry-run", "--on", "8xH10-80GB")

    assert done.code == 2
    assert "H100-80GB" in done.err


def test_a_dry_run_and_a_probe_exclude_each_other(align: Align, model: Path) -> None:
    done = align("train", "sft", "r.yaml", "--dry-run", "--probe")

    assert done.code == 2
    assert "exclude each other" in done.err


def test_the_page_shows_the_table_and_that_no_time_is_known(align: Align, model: Path) -> None:
    done = align("train", "sft", "r.yaml", "--dry-run", "--on", "8xH100-80GB")

    assert "no run of this model here has been measured" in done.out
    page = done.out[done.out.index("\nMemory") :]
    assert "each process needs" in page
    assert sum("fits" in line for line in page.splitlines()) >= 5
