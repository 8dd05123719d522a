"""Batches in our shapes, for the tests of cleaning."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from align_cli.mix.layout.columns import COLUMNS

TURNS = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string()), ("extra", pa.string())]))
TYPES = {"turns": TURNS, "text": pa.string(), "flag": pa.bool_()}


def batch(shape: str, rows: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    schema = pa.schema([(name, TYPES[form]) for name, form in COLUMNS[shape]])
    return pa.RecordBatch.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)


def turns(*contents: str, first: str = "user") -> list[dict[str, Any]]:
    roles = ("user", "assistant") if first == "user" else ("assistant", "user")
    return [{"role": roles[number % 2], "content": content} for number, content in enumerate(contents)]


def chats(*conversations: Sequence[str]) -> pa.RecordBatch:
    return batch("messages", [{"messages": turns(*contents)} for contents in conversations])


def texts(*rows: str) -> pa.RecordBatch:
    return batch("text", [{"text": text} for text in rows])


def in_batches(table: pa.RecordBatch, size: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, table.num_rows, size):
        yield table.slice(start, size)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in unpacked(path).splitlines()]


def unpacked(path: Path) -> str:
    content = path.read_bytes()
    return (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode()


def real_chats(root: Path) -> list[tuple[str, ...]]:
    """Conversations of several real sets, a few thousand of each."""
    found = [(row["prompt"], row["completion"]) for row in lines(root / "t0-p3" / "t0_train_clean_sources.jsonl.gz")]
    found = [(question, answer) for question, answer in found[:3000]]
    found += [(row["question"], row["answer"]) for row in lines(root / "gsm8k" / "train.jsonl.gz")]
    for path in sorted((root / "self_dialogue" / "corpus" / "movies").iterdir())[:3]:
        for row in csv.DictReader(io.StringIO(unpacked(path), newline="")):
            said = [value for name, value in row.items() if name and ".sentence" in name and value]
            if len(said) > 1:
                found.append(tuple(said))
    return found
