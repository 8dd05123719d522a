"""The texts that decontamination looks for: of the benchmarks known here, or of any local file.

Benchmarks count by what they ask, not by reference answers: those of MT-Bench and AlpacaEval are other models' words.
HumanEval's solutions count, as in the Alignment Handbook.
"""

from __future__ import annotations

import difflib
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from align_cli import assets, fingerprints
from align_cli.errors import DataError, Problem
from align_cli.mix.clean.contamination import Reference, strings
from align_cli.mix.faults import fault
from align_cli.mix.reading import read
from align_cli.mix.sources import formats


def _mt_bench(path: Path) -> Iterator[Reference]:
    for line in path.read_text(encoding="utf-8").splitlines():
        question = json.loads(line)
        for number, text in enumerate(question["turns"], 1):
            yield Reference(f"mt_bench question {question['question_id']}, turn {number}", text)


def _alpaca_eval(path: Path) -> Iterator[Reference]:
    for number, entry in enumerate(json.loads(path.read_text(encoding="utf-8")), 1):
        yield Reference(f"alpaca_eval instruction {number}", entry["instruction"])


def _humaneval(path: Path) -> Iterator[Reference]:
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        problem = json.loads(line)
        yield Reference(f"{problem['task_id']}, prompt", problem["prompt"])
        yield Reference(f"{problem['task_id']}, solution", problem["canonical_solution"])


#: Benchmark -> (the asset that holds it, how to read that).
BENCHMARKS: dict[str, tuple[str, Callable[[Path], Iterator[Reference]]]] = {
    "mt_bench": ("mt_bench/question.jsonl", _mt_bench),
    "alpaca_eval": ("alpaca_eval/alpaca_eval_gpt4_baseline.json", _alpaca_eval),
    "humaneval": ("humaneval/HumanEval.jsonl.gz", _humaneval),
}


def digests(words: tuple[str, ...]) -> dict[str, str]:
    """The sha256 of what each word of `decontaminate` stands for, without fetching anything.

    Raises:
        DataError: a word that is neither a benchmark nor a file; all of them together.
    """
    found = {}
    for word, file, column in _each(words):
        if file is None:
            found[word] = assets.sha256(BENCHMARKS[word][0])
        else:
            try:
                digest = fingerprints.of_file(file.path).sha256
            except OSError as error:
                raise fault(file.shown, f"the file cannot be read: {error.strerror or error}") from None
            found[f"file {len(found) + 1}"] = f"{digest} {column}".rstrip()
    return found


def texts(words: tuple[str, ...]) -> Iterator[Reference]:
    """All texts that the words of `decontaminate` stand for.

    Raises:
        DataError: an unknown word, a benchmark that cannot be had, a file that cannot be read.
    """
    for word, file, column in _each(words):
        if file is None:
            asset, benchmark = BENCHMARKS[word]
            yield from benchmark(assets.path(asset))
        else:
            yield from _of_file(file, column)


def _of_file(file: formats.File, column: str) -> Iterator[Reference]:
    known: set[str] = set()
    found = False
    for record in read.rows(file):
        where = read.place_of(file, record.place)
        if record.fault:
            raise fault(where, record.fault, read.hint_for(file, record.fault))
        value: Any = record.row
        if column:
            known |= set(value) if isinstance(value, dict) else set()
            value = value.get(column) if isinstance(value, dict) else None
        for text in strings(value):
            found = True
            yield Reference(where, text)
    if not found:
        hint = f"it has {', '.join(sorted(known))}" if known else "decontaminate: [FILE] looks for every text in it"
        message = f'the column "{column}" holds no text' if column else "the file holds no text to look for"
        raise fault(file.shown, message, hint)


def _each(words: tuple[str, ...]) -> list[tuple[str, formats.File | None, str]]:
    """(word, file or None for a benchmark, column or empty for all) of each word."""
    found: list[tuple[str, formats.File | None, str]] = []
    problems = []
    for word in words:
        name, colon, column = word.rpartition(":")
        if word in BENCHMARKS:
            found.append((word, None, ""))
        elif Path(word).is_file():
            found.append((word, formats.file_at(Path(word)), ""))
        elif colon and Path(name).is_file():
            found.append((word, formats.file_at(Path(name)), column))
        else:
            near = difflib.get_close_matches(word.lower().replace("-", "_"), BENCHMARKS, n=1, cutoff=0.5)
            did_you = f"did you mean {near[0]}? " if near else ""
            hint = f"{did_you}benchmarks are {', '.join(BENCHMARKS)}; a file is FILE or FILE:COLUMN"
            problems.append(Problem(f'"{word}" is neither a benchmark nor a file', "clean.decontaminate", hint))
    if problems:
        raise DataError("the recipe's cleaning cannot be done", problems=problems)
    return found
