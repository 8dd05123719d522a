"""Rows of a mixture as one looks at them: with the loss mask where a tokenizer is at hand, and those left out.

Rows are numbered from 1 in the order of training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from align_cli.cli.mixing.mixed import Mixed
from align_cli.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from align_cli.mix.build import Build

SPLITS = ("train", "eval")


def head(mixed: Mixed, num_rows: int) -> list[dict[str, Any]]:
    """The first training rows."""
    return rows(mixed, range(1, min(num_rows, mixed.build.num_train) + 1), "train")


def rows(mixed: Mixed, numbers: Sequence[int], split: str) -> list[dict[str, Any]]:
    """Rows by their numbers, from 1.

    Each has row, of, split, source, place, segments ([text, in the loss or not; null where no tokenizer tells]), cut
    (the text that max_length cuts away), num_tokens, num_in_loss, truncated, note.

    Raises:
        UsageError: there is no such row.
    """
    if not numbers:
        return []
    build = mixed.build
    total = build.num_train if split == "train" else build.num_eval
    if not total:
        raise UsageError("the mixture has no rows to evaluate on", hint="set held_out: or eval: in the mixture")
    for number in numbers:
        if not 1 <= number <= total:
            what = "training rows" if split == "train" else "rows to evaluate on"
            raise UsageError(f"there is no row {number}: the mixture's {what} are 1 to {total}")
    from align_cli.tasks.preparing.inspection import shown_rows

    shown = shown_rows(
        mixed.recipe, mixed.tokenizer, build, [number - 1 for number in numbers], split, shape=mixed.task.shape
    )
    return [
        {
            "row": row.row + 1,
            "of": total,
            "split": split,
            "source": row.source,
            "place": row.place,
            "segments": [[text, in_loss] for text, in_loss in row.segments],
            "cut": row.cut,
            "num_tokens": row.num_tokens,
            "num_in_loss": row.num_in_loss,
            "truncated": row.truncated,
            "note": row.note,
        }
        for row in shown
    ]


def left_out(build: Build, words: Sequence[str], most: int) -> dict[str, Any]:
    """Rows that cleaning left out, all or those of one step: {step, total, steps, rows: [{step, place, why, text}]}.

    Raises:
        UsageError: there is no such step.
    """
    from align_cli.mix import clean
    from align_cli.tasks.preparing.findings import place_in

    step = _step(words, clean.STEPS)
    shown: list[dict[str, Any]] = []
    total = 0
    counts: dict[str, int] = {}
    for batch in _batches(build.folder / "dropped.arrow"):
        for index, named in enumerate(batch.column("step").to_pylist()):
            counts[named] = counts.get(named, 0) + 1
            if step and named != step:
                continue
            total += 1
            if len(shown) < most:
                row = batch.slice(index, 1).to_pylist()[0]
                place = place_in(build.report["sources"], row["source"], row["place"])
                shown.append({"step": named, "place": place, "why": row["why"] or "", "text": _text(row)})
    return {"step": step, "total": total, "steps": counts, "rows": shown}


def _step(words: Sequence[str], steps: Sequence[str]) -> str:
    """The step that the words after --dropped begin to spell; empty for all."""
    wanted = " ".join(words).replace("-", " ").replace("_", " ").lower()
    if not wanted:
        return ""
    found = [step for step in steps if step.startswith(wanted)]
    if len(found) != 1:
        raise UsageError(f'there is no step "{" ".join(words)}" of cleaning', hint=f"one of {', '.join(steps)}")
    return found[0]


def _text(row: Mapping[str, Any]) -> str:
    """The row's texts, each after its role or column."""
    pieces = []
    for name, value in row.items():
        if name in ("source", "place", "step", "why") or value is None:
            continue
        if not isinstance(value, list):
            pieces.append(f"{name}: {value}")
            continue
        for turn in value:
            role = turn["role"] if name == "messages" else f"{name}, {turn['role']}"
            extra = f" {turn['extra']}" if turn.get("extra") else ""
            pieces.append(f"{role}: {turn['content'] or ''}{extra}")
    return " ".join(pieces)


def _batches(stream: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    if not stream.is_file():
        return
    with pa.memory_map(str(stream)) as file, pa.ipc.open_stream(file) as reader:
        yield from reader
