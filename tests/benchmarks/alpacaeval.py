"""AlpacaEval's metrics of one model from stored annotations, at real size: 805 verdicts, 1,610 gamed rows."""

from __future__ import annotations

import csv
import json
import math
import random
import sys
from pathlib import Path

from tests.benchmarks.measure import Row, align, median, run

_NUM_INSTRUCTIONS = 805
_WITHOUT_TORCH = (
    "import sys; from align_cli.cli.app import run; code = run(sys.argv[1:]); "
    "sys.exit(9 if 'torch' in sys.modules else code)"
)


def rows(scratch: Path) -> list[Row]:
    """Wall seconds of the whole process; the peer's default command cannot run with today's libraries."""
    _annotations(scratch / "annotations.json")
    _gamed(scratch / "df_gamed.csv")
    place = scratch / "imported"
    imported = run(align("eval", "alpacaeval", "import", str(scratch / "annotations.json"), "--output-dir", str(place)))
    words = ["eval", "alpacaeval", "report", str(place / "m"), "--length-control", str(scratch / "df_gamed.csv")]
    report = median([sys.executable, "-c", _WITHOUT_TORCH, *words, "--json"])
    for done in (imported, report):
        if done.code != 0:
            raise RuntimeError(f"exit code {done.code}:\n{done.output[-2000:]}")
    metrics = json.loads(report.output[report.output.index("{") :])["report"]["models"][0]["metrics"]
    if metrics["n_total"] != _NUM_INSTRUCTIONS or metrics["length_controlled_winrate"] is None:
        raise RuntimeError(f"it gave {metrics}")
    what = f"AlpacaEval, {_NUM_INSTRUCTIONS} annotations: metrics, length control and page, no torch"
    return [Row(what, f"{report.wall_s:.2f} s", "-", "-", "<= 3 s", report.wall_s <= 3)]


def _annotations(path: Path) -> None:
    """Answers of the published ones' lengths, and preferences that like long ones."""
    draw = random.Random(7)
    found = []
    for number in range(_NUM_INSTRUCTIONS):
        lengths = [int(draw.lognormvariate(7.3, 0.5)) for _ in range(2)]
        likes = 1 / (1 + math.exp(-(math.tanh((lengths[1] - lengths[0]) / 1000) + draw.gauss(-0.5, 1))))
        found.append(
            {
                "instruction": f"Instruction {number}: tell a story.",
                "output_1": ("word " * lengths[0])[: lengths[0]],
                "generator_1": "base",
                "dataset": ("koala", "oasst", "vicuna")[number % 3],
                "output_2": ("text " * lengths[1])[: lengths[1]],
                "generator_2": "m",
                "annotator": "weighted_alpaca_eval_gpt4_turbo",
                "preference": 1 + likes,
            }
        )
    path.write_text(json.dumps(found), encoding="utf-8")


def _gamed(path: Path) -> None:
    draw = random.Random(11)
    difficulty = [draw.gauss(0, 1) for _ in range(_NUM_INSTRUCTIONS)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["preference", "index", "std_delta_len", "instruction_difficulty", "not_gamed_baseline", "model"]
        )
        for model, shift in (("verbose", -1.0), ("concise", 1.0)):
            for number in range(_NUM_INSTRUCTIONS):
                writer.writerow([draw.random(), number, draw.gauss(shift, 1), difficulty[number], False, model])
