"""Evaluation folders out of FastChat's files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from align_cli import files, registry
from align_cli.errors import DataError, UsageError
from align_cli.evals import folder, imported
from align_cli.evals.benchmark import Answer
from align_cli.evals.folder import Evaluation
from align_cli.evals.judgments import Judgment, record_of
from align_cli.evals.mtbench.fastchat import rows
from align_cli.evals.mtbench.fastchat.answers import read_answers
from align_cli.evals.mtbench.fastchat.judgments import read_pair, read_single
from align_cli.evals.mtbench.fastchat.rows import ANSWERS, JUDGMENTS
from align_cli.evals.mtbench.games import repeated

_LAYOUT = f"a folder with {ANSWERS}/ and {JUDGMENTS}/ (FastChat's data/mt_bench), or such files themselves"


@dataclass
class _Found:
    """What was read about one model."""

    answers: dict[int | str, list[Answer]] = field(default_factory=dict)
    judgments: dict[str, Judgment] = field(default_factory=dict)
    """By key, so that a file that is given twice counts once."""
    files: dict[str, str] = field(default_factory=dict)
    """Name -> sha256."""
    notes: list[str] = field(default_factory=list)


def import_fastchat(places: Path | Sequence[Path], into: Path, model: str | None = None) -> list[Evaluation]:
    """Make an evaluation folder `into/MODEL` for each model that has answers or judgments.

    Judgments of pairs go to the model that FastChat calls `model_1`: the one that is not the baseline. All files are
    read before anything is written.

    Args:
        places: A folder that holds `model_answer` and `model_judgment`, a folder of such files, or the files.
        into: Where the folders are made.
        model: Take this one only.

    Raises:
        DataError: a row is malformed; all of a file's are listed.
        UsageError: there are no such files, or no such model, or a target is there already.
    """
    found: dict[str, _Found] = {}
    names: dict[str, Path] = {}
    left: list[str] = []
    for path, name in _files([places] if isinstance(places, Path) else places, left):
        name = name if names.setdefault(name, path) == path else str(path)
        _read(path, name, found)
    if not found:
        raise UsageError("there are no answers or judgments of FastChat there", hint=f"give {_LAYOUT}")
    if model is not None:
        if model not in found:
            raise UsageError(f'there is nothing about the model "{model}" there', hint=registry.suggest(model, found))
        found = {model: found[model]}
    targets = imported.targets(into, found)
    for name, one in found.items():
        if left:
            one.notes.append(f"left aside, being neither answers nor judgments: {', '.join(left)}")
        _write(targets[name], name, one)
    return [folder.of(target) for target in targets.values()]


def _files(places: Sequence[Path], left: list[str]) -> Iterator[tuple[Path, str]]:
    """The files and what to call them; names of others that lie beside them are added to `left`."""
    for place in places:
        if not place.exists():
            raise UsageError(f"{place}: there is no such file or folder", hint=f"give {_LAYOUT}")
        if not place.is_dir():
            if rows.kind_of(place) is None:
                what = 'its first row has none of the fields "choices", "score", "g1_winner"'
                raise DataError(f"{place}: these are no answers or judgments of FastChat: {what}")
            yield place, place.name
            continue
        root = next((at for at in (place, place / "mt_bench", place / "data" / "mt_bench") if _has_layout(at)), None)
        folders = [root / ANSWERS, root / JUDGMENTS] if root else [place]
        for path in (path for one in folders for path in sorted(one.glob("*.jsonl"))):
            if rows.kind_of(path) is None:
                left.append(path.name)
            else:
                yield path, path.relative_to(root or place).as_posix()


def _has_layout(place: Path) -> bool:
    return (place / ANSWERS).is_dir() or (place / JUDGMENTS).is_dir()


def _read(path: Path, name: str, found: dict[str, _Found]) -> None:
    """Add what a file holds to what is known of its models."""
    digest, kind = files.digest_of_file(path), rows.kind_of(path)
    if kind == "answers":
        read = read_answers(path)
        one = found.setdefault(read.model, _Found())
        if one.answers and one.answers != read.answers:
            raise UsageError(f"{path}: there are other answers of {read.model}, in {next(iter(one.files))}")
        one.answers, one.files[name] = read.answers, digest
        one.notes += read.notes
        return
    by_model: dict[str, list[Judgment]] = {}
    for judgment in read_pair(path) if kind == "pair" else read_single(path):
        by_model.setdefault(judgment.models[judgment.game - 1], []).append(judgment)
    for model, judgments in by_model.items():
        one = found.setdefault(model, _Found())
        one.files[name] = digest
        one.notes += _notes(name, judgments, one.judgments)
        one.judgments |= {judgment.key: judgment for judgment in judgments}


def _notes(name: str, judgments: list[Judgment], before: Mapping[str, Judgment]) -> Iterator[str]:
    if again := repeated(judgment for judgment in judgments if judgment.game == 1):
        yield f"{name}: rows for what an earlier row judges: {again}; all count, as in FastChat"
    if known := sum(judgment.key in before for judgment in judgments if judgment.game == 1):
        yield f"{name}: rows that another file has too: {known}; they count once"
    if otherwise := sum(judgment.state == "ok" and bool(judgment.why) for judgment in judgments):
        yield f"{name}: verdicts kept as FastChat stored them, though the reply reads otherwise: {otherwise}"


def _write(target: Path, model: str, found: _Found) -> None:
    facts = {
        "format": folder.FORMAT,
        "model": {"name": model},
        "benchmark": "mtbench",
        "imported": {"format": "fastchat", "files": found.files, "notes": found.notes},
    }
    answers = (answer for turns in found.answers.values() for answer in turns)
    with files.new_folder(target) as work:
        imported.write_records(work / folder.ANSWERS, (folder.record_of(answer) for answer in answers))
        imported.write_records(work / folder.JUDGMENTS, (record_of(judgment) for judgment in found.judgments.values()))
        files.write_json(work / folder.FACTS, facts)
