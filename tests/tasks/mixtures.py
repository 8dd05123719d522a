"""Mixtures and recipes for tests of the token store: real jsonl files, the real mixing layer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from align_cli.recipe.schema import Launch, Mixture, Recipe, Source
from align_cli.tasks.task import Prepared

#: What SFTConfig says where a recipe says nothing, as far as tokens are concerned.
DEFAULTS = {
    "max_length": 1024,
    "truncation_mode": "keep_start",
    "packing": False,
    "packing_strategy": "bfd",
    "seed": 42,
}
KINDS = ("messages", "prompt_completion", "text")


def recipe(mixture: Mixture | None = None, *, behaviours: Mapping[str, Any] | None = None, **values: Any) -> Recipe:
    """A resolved recipe with these values and nothing else."""
    return Recipe(
        task="sft", path="", text="", overrides=(), values=values, defaults=DEFAULTS, mixture=mixture or Mixture(),
        launch=Launch(), profile="align", behaviours=behaviours or {}, env={}, origins={}, notes=(),
    )  # fmt: skip


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """One JSON object a line."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def prepare(
    rows: Sequence[Mapping[str, Any]],
    model: Path,
    folder: Path,
    *,
    evaluation: Sequence[Mapping[str, Any]] = (),
    behaviours: Mapping[str, Any] | None = None,
    **values: Any,
) -> Prepared:
    """Prepare `rows` in file order for the model in the folder `model`."""
    from align_cli.tasks.preparing.tokens import prepare as prepare_tokens

    train = write_rows(folder / "train.jsonl", rows)
    # `combine: trl` keeps the order of the file.
    mixture = Mixture(
        sources=(Source(path=str(train)),),
        eval=(Source(path=str(write_rows(folder / "eval.jsonl", evaluation))),) if evaluation else (),
        combine="trl",
    )
    return prepare_tokens(recipe(mixture, behaviours=behaviours, **values), model, kinds=KINDS)


def read_tokens(path: Path) -> list[dict[str, Any]]:
    """Every sequence of a token stream."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
        rows: list[dict[str, Any]] = reader.read_all().to_pylist()
    return rows
