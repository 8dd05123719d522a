"""Run directories in every state, made with the code that makes real ones, but without training."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from align_cli.recipe.schema import Launch, Mixture, Origin, Recipe, Source
from align_cli.runs import checkpoints, directory, manifest
from align_cli.runs.metrics import Metrics
from align_cli.tasks.task import Prepared

FACTS = {
    "parameters": {"trained": 10, "total": 100},
    "dtypes": {"float32": 100},
    "trained_dtypes": {"float32": 10},
    "device": "cpu",
    "steps": 40,
    "epochs": 1.0,
    "tokens": 4000,
    "resumed_from": None,
}


def recipe_for(path: Path, *, task: str = "sft", profile: str = "align", **values: Any) -> Recipe:
    chosen = {"model_name_or_path": "org/base", "output_dir": str(path), "learning_rate": 1e-4, **values}
    return Recipe(
        task=task, path="r.yaml", text="learning_rate: 1e-4\n", overrides=(), values=chosen,
        defaults={"seed": 42, "num_train_epochs": 3.0, "save_steps": 500, "beta": 0.1},
        mixture=Mixture(sources=(Source(path="rows.jsonl"),)), launch=Launch(), profile=profile, behaviours={},
        env={}, origins={key: Origin("file", f"r.yaml:{n}") for n, key in enumerate(chosen, 1)}, notes=(),
    )  # fmt: skip


def report(*, rows: int = 60, label: str = "chat", **more: Any) -> dict[str, Any]:
    source = {
        "label": label, "path": "org/chat", "for": "train", "kind": "hub", "layout": "messages", "available": 66,
        "kept": rows, "share": 1.0, "dropped": {}, "identity": {"hub": "org/chat", "commit": "c0ffee" * 6},
    }  # fmt: skip
    return {
        "mixture": {"digest": "m" * 64, "sources": [source]},
        "rows": {"train": rows, "eval": 6},
        "tokens": {"train": 4000, "in_loss": 1000, "share_in_loss": 0.25},
        "per_source": [{"label": label, "rows": rows, "tokens": 4000, "in_loss": 1000}],
        "stop_token": {"text": "<|im_end|>", "trained": True},
        "sample": {"segments": [["<|im_start|>user\nHi<|im_end|>\n", False], ["Hello!<|im_end|>", True]]},
        "warnings": [],
        **more,
    }


def prepared(path: Path, *, lines: Iterable[Mapping[str, Any]] = (), num_steps: int | None = 40, **more: Any) -> Path:
    """A sealed run with these lines in its log; keywords go to the recipe, `report` replaces the data's report."""
    data = more.pop("report", None) or report()
    recipe = recipe_for(path, **more)
    run = directory.open_run(recipe)
    made = Prepared(folder=path / "store", digest="d" * 64, num_train=60, num_eval=6, report=data, from_store=False)
    plan = {"num_steps": num_steps, "global_batch_size": 3, "device": "cpu", "precision": "float32", "kind": "inline"}
    directory.seal(run, recipe, plan, made, Path("models/base"))
    directory.release(path)
    log = Metrics(path, after_step=0)
    for line in lines:
        log.write(line["step"], {key: value for key, value in line.items() if key != "step"})
    log.close()
    return path


def finished(
    path: Path, *, metrics: Mapping[str, Any] | None = None, facts: Mapping[str, Any] | None = None, **more: Any
) -> Path:
    prepared(path, **{"lines": falling(), **more})
    (path / "model.safetensors").write_bytes(b"weights" * 100)
    (path / "config.json").write_text("{}")
    (path / "README.md").write_text("---\ntags:\n- align\n---\n\n# A model\n")
    more.pop("lines", None), more.pop("num_steps", None), more.pop("report", None)
    document = manifest.build(
        path,
        recipe_for(path, **more),
        metrics=metrics or {"train_loss": 2.0, "eval_loss": 1.5, "train_runtime": 10.0},
        facts=facts or FACTS,
        warnings=[],
    )
    manifest.write(path, document)
    return path


def checkpoint(path: Path, step: int, **state: Any) -> Path:
    folder = path / f"checkpoint-{step}"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"w" * step)
    checkpoints.seal(folder, state)
    return folder


def failed(path: Path, **document: Any) -> Path:
    (path / "align" / "failure-0.json").write_text(json.dumps({"type": "TrainingError", **document}))
    return path


def falling(*, start: float = 5.0, steps: int = 40) -> list[dict[str, Any]]:
    """A loss that falls, with an evaluation every ten steps; the best is not the last."""
    lines: list[dict[str, Any]] = []
    for step in range(2, steps + 1, 2):
        lines.append(
            {"step": step, "loss": start * math.exp(-step / 30), "epoch": step / steps, "num_tokens": 100.0 * step}
        )
        if step % 10 == 0:
            lines.append(
                {"step": step, "eval_loss": start / step + (0.5 if step == steps else 0), "epoch": step / steps}
            )
    return lines


def preferring(steps: int = 40) -> list[dict[str, Any]]:
    """What a DPO run logs, in the names of TRL's trainer."""
    lines: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        chosen, rejected = step / steps, -2 * step / steps
        entry = {
            "loss": math.log(1 + math.exp(rejected - chosen)),
            "rewards/chosen": chosen,
            "rewards/rejected": rejected,
            "rewards/margins": chosen - rejected,
            "rewards/accuracies": min(0.5 + step / steps, 1.0),
            "logps/chosen": -50.0,
            "logps/rejected": -60.0,
        }
        lines.append({"step": step, **entry, "epoch": step / steps})
        if step % 20 == 0:
            lines.append(
                {"step": step, **{f"eval_{key}": value for key, value in entry.items()}, "epoch": step / steps}
            )
    return lines
