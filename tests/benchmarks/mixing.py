"""Mixing against the Handbook's road: choosing and ordering rows, reading them in order, duplicates, and growth.

ALIGN_BENCH_ROWS sets the rows of the mixture (1,000,000). The sources are JSON lines, because that is what people have
and both sides must parse them; both begin without any cache of their own, and with the files in the system's cache.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks import data
from tests.benchmarks.measure import Cost, Row, run

_CLEANED = 50_000
_NEAR = 0.85

# What `align` does: the whole build, from the files to the rows in their order on disk.
_BUILD = """
import json, sys
from align_cli.mix.build import build
from align_cli.recipe.schema import Clean, Mixture, Source
wish = json.loads(sys.argv[1])
sources = tuple(Source(path=path) for path in wish["paths"])
mixture = Mixture(sources=sources, combine=wish["combine"], clean=Clean(**wish.get("clean", {})))
if __name__ == "__main__":
    made = build(mixture, ("messages",))
    print(json.dumps({"folder": str(made.folder), "rows": made.num_train, "cleaned": made.report["cleaned"]["steps"]}))
"""

# What the Handbook does (src/alignment/data.py, mix_datasets) up to its first pass over the rows, which is where the
# indices of the shuffle are followed for the first time.
_ROAD = """
import json, sys, time
from datasets import concatenate_datasets, disable_progress_bars, load_dataset
disable_progress_bars()
wish = json.loads(sys.argv[1])
start = time.perf_counter()
parts = [load_dataset("json", data_files=path, split="train") for path in wish["paths"]]
parts = [part.select(range(int(1.0 * len(part)))) for part in parts]
mixed = concatenate_datasets(parts).shuffle(seed=42)
ready = time.perf_counter()
"""

# Both hand over Python rows; the hash of every 997th shows that they are the same ones in the same order.
_SEEN = """
import hashlib
seen, count, begin = hashlib.sha256(), 0, time.perf_counter()
for row in rows():
    if count % 997 == 0:
        seen.update(json.dumps(row["messages"]).encode())
    count += 1
end = time.perf_counter()
print(json.dumps({"rows": count, "seen": seen.hexdigest(), "pass_s": end - begin, "ready_s": begin - start}))
"""

_ROAD_ROWS = "def rows():\n    return mixed\n"
_ROAD_BATCHES = """
def rows():
    for batch in mixed.iter(batch_size=1000):
        for messages in batch["messages"]:
            yield {"messages": messages}
"""

_READ = """
import json, sys, time
from pathlib import Path
import pyarrow.compute
from align_cli.tasks.preparing.streams import read_rows
start = time.perf_counter()
def rows():
    for batch in read_rows(Path(sys.argv[1]), limit=None):
        yield from batch.rows
"""


def rows(scratch: Path) -> list[Row]:
    """The whole table; needs about five times the mixture's bytes (1.3 GB per million rows) in `scratch`."""
    count = int(os.environ.get("ALIGN_BENCH_ROWS", "1000000"))
    paths = [str(path) for path in data.five_sources(scratch, count)]
    fewer = [str(path) for path in data.five_sources(scratch, count // 10)]
    small = _built(scratch, fewer)
    built = _built(scratch, paths, keep=True)
    said = json.loads(built.output.splitlines()[-1])
    read = _python(_READ + _SEEN, f"{said['folder']}/train.arrow")
    shutil.rmtree(scratch / "mix-cache")
    cold = _road(scratch, paths, _ROAD_ROWS)
    warm = _road(scratch, paths, _ROAD_ROWS)
    batches = _road(scratch, paths, _ROAD_BATCHES)
    shutil.rmtree(scratch / "hf")
    facts = [json.loads(cost.output.splitlines()[-1]) for cost in (read, cold, warm, batches)]
    ours, *theirs = facts
    if any((fact["rows"], fact["seen"]) != (ours["rows"], ours["seen"]) for fact in theirs):
        raise RuntimeError(f"the rows differ: {facts}")
    return [
        *_ordering(count, built, ours["pass_s"], cold, warm),
        *_reading(ours, theirs[1], theirs[2]),
        _duplicates(scratch),
        *_growth(count, small, built),
    ]


def _ordering(count: int, built: Cost, our_pass: float, cold: Cost, warm: Cost) -> list[Row]:
    what = f"{count:,} rows of 5 JSONL files"
    first = cold.wall_s / built.wall_s
    memory = built.together_mb / cold.together_mb
    return [
        Row(
            f"{what}: choosing, ordering",
            f"{built.wall_s:.1f} s (files to ordered rows on disk)",
            f"{cold.wall_s:.1f} s (load, select, concatenate, shuffle, first pass)",
            f"{first:.1f}x faster",
            ">= 3",
            first >= 3,
        ),
        Row(
            "… CPU of it", f"{built.cpu_s:.1f} s", f"{cold.cpu_s:.1f} s", f"{cold.cpu_s / built.cpu_s:.1f}x", "-", None
        ),
        _timed("… and a pass over them here, too", built.wall_s + our_pass, cold.wall_s),
        _timed("… and their Arrow cache warm, ours cold", built.wall_s + our_pass, warm.wall_s),
        Row(
            "… peak memory of all processes (PSS)",
            f"{built.together_mb:.0f} MB",
            f"{cold.together_mb:.0f} MB",
            f"{memory:.2f}",
            "<= 0.5",
            memory <= 0.5,
        ),
        Row(
            "… of it not pages of files",
            f"{built.own_mb:.0f} MB",
            f"{cold.own_mb:.0f} MB",
            f"{built.own_mb / cold.own_mb:.2f}",
            "-",
            None,
        ),
        Row(
            "… largest process (ru_maxrss)",
            f"{built.peak_mb:.0f} MB",
            f"{cold.peak_mb:.0f} MB",
            f"{built.peak_mb / cold.peak_mb:.2f}",
            "-",
            None,
        ),
    ]


def _reading(ours: dict[str, Any], peer: dict[str, Any], batches: dict[str, Any]) -> list[Row]:
    found = []
    for how, other, bar in (("row by row", peer, 5), ("in batches of 1000", batches, None)):
        ratio = other["pass_s"] / ours["pass_s"]
        found.append(
            Row(
                f"reading them in order as Python rows (theirs {how})",
                f"{ours['rows'] / ours['pass_s']:,.0f} rows/s",
                f"{other['rows'] / other['pass_s']:,.0f} rows/s",
                f"{ratio:.1f}x",
                f">= {bar}" if bar else "-",
                ratio >= bar if bar else None,
            )
        )
    return found


def _duplicates(scratch: Path) -> Row:
    folder = data.chat_rows(scratch, _CLEANED)
    plain = _built(scratch, [str(folder / "train.jsonl")])
    cleaned = _built(scratch, [str(folder / "train.jsonl")], clean={"exact": True, "near": _NEAR})
    steps = json.loads(cleaned.output.splitlines()[-1])["cleaned"]
    return Row(
        f"exact + near duplicates of {_CLEANED:,} rows ({sum(steps.values()):,} found)",
        f"{cleaned.wall_s:.1f} s (whole build; {plain.wall_s:.1f} s without)",
        "-",
        "-",
        "<= 60 s",
        cleaned.wall_s <= 60,
    )


def _growth(count: int, small: Cost, large: Cost) -> list[Row]:
    # What every process pays, imports above all, is no part of the growth.
    base = run([sys.executable, "-c", "import align_cli.mix.build, pyarrow.json, numpy"])
    time = (large.wall_s - base.wall_s) / (small.wall_s - base.wall_s)
    found = [
        Row(
            f"growth of time from {count // 10:,} rows",
            f"{small.wall_s:.1f} s -> {large.wall_s:.1f} s",
            "-",
            f"{time:.1f}x for 10x",
            "<= 12",
            time <= 12,
        )
    ]
    for what, before, after, bar in (
        ("peak memory of all processes (PSS)", small.together_mb, large.together_mb, None),
        ("peak memory of the largest process", small.peak_mb, large.peak_mb, 1.2),
    ):
        ratio = after / before
        found.append(
            Row(
                f"growth of {what}",
                f"{before:.0f} MB -> {after:.0f} MB",
                "-",
                f"{ratio:.2f}",
                f"<= {bar}" if bar else "-",
                ratio <= bar if bar else None,
            )
        )
    return found


def _timed(what: str, ours: float, theirs: float) -> Row:
    return Row(what, f"{ours:.1f} s", f"{theirs:.1f} s", f"{theirs / ours:.1f}x faster", "-", None)


def _built(scratch: Path, paths: list[str], *, keep: bool = False, clean: dict[str, Any] | None = None) -> Cost:
    """A build into an empty store. As the Handbook chooses, so that both sides have the same rows in the same order."""
    cache = scratch / "mix-cache"
    script = scratch / "build.py"  # a file, as worker processes import it again
    script.write_text(_BUILD)
    wish = {"paths": paths, "combine": "handbook-2023", "clean": clean or {}}
    cost = _python(script, json.dumps(wish), ALIGN_CACHE=cache)
    if not keep:
        shutil.rmtree(cache)
    return cost


def _road(scratch: Path, paths: list[str], reader: str) -> Cost:
    return _python(_ROAD + reader + _SEEN, json.dumps({"paths": paths}), HF_DATASETS_CACHE=scratch / "hf")


def _python(script: str | Path, *words: str, **environment: Path) -> Cost:
    start = [str(script)] if isinstance(script, Path) else ["-c", script]
    around = ["env", f"PYTHONPATH={data.CHECKOUT}", *(f"{name}={value}" for name, value in environment.items())]
    cost = run([*around, sys.executable, *start, *words], together=True)
    if cost.code:
        raise RuntimeError(cost.output[-3000:])
    return cost
