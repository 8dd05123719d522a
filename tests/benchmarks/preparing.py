"""Rows to tokens in the parent: time against TRL's preparation of the same rows, and peak memory."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.benchmarks import data
from tests.benchmarks.measure import Row, run

_OURS = """
import sys
from pathlib import Path
from align_cli import registry
from align_cli.recipe.load import load
task = registry.get(registry.TASKS, "sft")
recipe = load([sys.argv[1]], task)
prepared = task.prepare(recipe, Path(recipe.get("model_name_or_path")), say=lambda line: None)
assert prepared.num_train == int(sys.argv[2]), prepared
"""

_TRL = """
import sys
from datasets import load_dataset
from transformers import AutoTokenizer
from trl import SFTConfig, SFTTrainer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[2])
args = SFTConfig(output_dir=sys.argv[3], bf16=False, use_cpu=True, report_to="none", max_length=256)
trainer = SFTTrainer.__new__(SFTTrainer)
trainer._tokenizer, trainer.chat_template, trainer.completion_only_loss = tokenizer, None, False
rows = load_dataset(sys.argv[1], split="train")
prepared = SFTTrainer._prepare_dataset(trainer, rows, tokenizer, args, False, None, "train")
"""


def rows(scratch: Path) -> list[Row]:
    """50 k rows, nothing cached, each in a process of its own."""
    count = 50_000
    folder = data.chat_rows(scratch, count)
    recipe = data.recipe(scratch, folder)
    base = run([sys.executable, "-c", "import align_cli.recipe.load"])
    ours = run(["env", f"ALIGN_CACHE={scratch / 'cold'}", sys.executable, "-c", _OURS, str(recipe), str(count)])
    peer_cache = f"HF_DATASETS_CACHE={scratch / 'hf'}"
    peer = run(["env", peer_cache, sys.executable, "-c", _TRL, str(folder), str(data.model(scratch)), str(scratch)])
    peer_base = run([sys.executable, "-c", "from trl import SFTConfig, SFTTrainer"])
    for cost in (ours, peer):
        if cost.code:
            raise RuntimeError(cost.output[-3000:])
    # CPU time: how long the imports take on the wall depends on what the disk cache still holds.
    ours_s, peer_s = ours.cpu_s - base.cpu_s, peer.cpu_s - peer_base.cpu_s
    return [
        Row(
            "preparing 50 k chat rows, cold, imports aside",
            f"{ours_s:.1f} s CPU",
            f"{peer_s:.1f} s CPU (trl)",
            f"{peer_s / ours_s:.1f}x faster",
            "-",
            None,
        ),
        Row(
            "peak memory of the parent meanwhile",
            f"{ours.peak_mb:.0f} MB",
            f"{peer.peak_mb:.0f} MB (trl)",
            f"{ours.peak_mb / peer.peak_mb:.2f}",
            "<= 600 MB",
            ours.peak_mb <= 600,
        ),
    ]
