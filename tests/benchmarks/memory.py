"""The memory estimate against measured peaks: all weights and LoRA, SFT and DPO, at three lengths."""

from __future__ import annotations

import json
import random
import shutil
import sys
from itertools import product
from pathlib import Path
from typing import Any

from tests.benchmarks import data
from tests.benchmarks.measure import Row, align, run

_TASKS = {"sft": 2, "dpo": 1}  # rows of a batch: two sequences each time
_LENGTHS = (128, 512, 1024)
_STEPS = 2  # the optimiser's states come with the first; the second has everything at once
_BAR = 0.15


def rows(scratch: Path) -> list[Row]:
    """A row for each combination, two with gradient checkpointing, and two of two processes."""
    cases = [*product(_TASKS, (False, True), _LENGTHS, (False,)), ("sft", False, 1024, True), ("sft", True, 1024, True)]
    two = [_row(scratch, "sft", lora, 512, False, processes=2) for lora in (False, True)]
    return [*(_row(scratch, *case) for case in cases), *two]


def _row(scratch: Path, task: str, lora: bool, length: int, checkpointing: bool, *, processes: int = 1) -> Row:
    recipe = data.recipe(
        scratch,
        _long_rows(scratch, task, length),
        max_length=length,
        per_device_train_batch_size=_TASKS[task],
        max_steps=_STEPS,
        use_peft=lora,
        gradient_checkpointing=checkpointing,
    )
    out = scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    words = ("train", task, str(recipe), "--num-processes", str(processes))
    plan = run(align(*words, "--dry-run", "--json"))
    done = run(align(*words))
    if plan.code or done.code:
        raise RuntimeError((plan if plan.code else done).output[-3000:])
    document: dict[str, Any] = json.loads(plan.output[plan.output.index("{") :])
    estimated = document["memory"]["planned"]["bytes"]
    measured = max(json.loads((out / "align" / "manifest.json").read_text())["facts"]["peak_memory_bytes"])
    off = estimated / measured - 1
    what = f"{task.upper()}, {'LoRA' if lora else 'all weights'}, {length} tokens{', checkpoints' * checkpointing}"
    what += ", two processes (ddp)" if processes == 2 else ""
    print(f"  {what}: {estimated / 1e6:.0f} MB estimated, {measured / 1e6:.0f} MB measured", file=sys.stderr)
    return Row(
        f"memory: {what}",
        f"{estimated / 1e6:.0f} MB estimated",
        f"{measured / 1e6:.0f} MB measured",
        f"{off:+.1%}",
        f"<= {_BAR:.0%}",
        abs(off) <= _BAR,
    )


def _long_rows(scratch: Path, task: str, length: int) -> Path:
    """Rows that are longer than `length` tokens, so that every sequence is cut there; a short prompt."""
    folder = scratch / f"long-{task}-{length}"
    folder.mkdir(parents=True, exist_ok=True)
    words = (data.CHECKOUT / "README.md").read_text(encoding="utf-8").split()
    draw = random.Random(0)

    def said(count: int) -> str:
        return " ".join(draw.choice(words) for _ in range(count))

    with (folder / "train.jsonl").open("w") as file:
        for number in range(8):
            user = [{"role": "user", "content": f"{number}: {said(5)}"}]
            answers = [[{"role": "assistant", "content": said(length)}] for _ in range(2)]
            row = {"messages": [*user, *answers[0]]}
            if task == "dpo":
                row = {"prompt": user, "chosen": answers[0], "rejected": answers[1]}
            file.write(json.dumps(row) + "\n")
    return folder
