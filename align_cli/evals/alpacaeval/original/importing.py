"""Evaluation folders out of alpaca_eval's files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from align_cli import files, registry
from align_cli.errors import Problem, UsageError
from align_cli.evals import folder, imported, own
from align_cli.evals.alpacaeval.evaluation_set import id_of, question_of
from align_cli.evals.alpacaeval.original import rows
from align_cli.evals.alpacaeval.original.annotations import KNOWN, judgment_of
from align_cli.evals.alpacaeval.original.rows import ANNOTATIONS, OUTPUTS, RESULTS, Kind, Row
from align_cli.evals.alpacaeval.versions import Version
from align_cli.evals.benchmark import Answer, Question, Reference
from align_cli.evals.folder import Evaluation
from align_cli.evals.judgments import Judgment, record_of

_LAYOUT = f"alpaca_eval's {RESULTS}/, one model's folder in it, or its {OUTPUTS} and {ANNOTATIONS}"
#: Old files are named after their annotator, and lie beside the outputs.
_NAMES = (OUTPUTS, ANNOTATIONS, "annotation_*.json", "annotations_*.json")
_CACHE = "annotations_seed*"  # of its annotators: rows without the models' names
_DEPTH = 4  # results/ORGANISATION/MODEL/ANNOTATOR, from the folder that holds results


@dataclass
class _Found:
    """What was read about one model."""

    outputs: dict[str, str] = field(default_factory=dict)
    """By question."""
    questions: dict[str, Question] = field(default_factory=dict)
    """In the order of the annotations, then of the outputs."""
    references: dict[str, dict[str, str]] = field(default_factory=dict)
    """By name, outputs by question."""
    judgments: dict[tuple[str, str, str], Judgment] = field(default_factory=dict)
    """By annotator, reference and question."""
    files: dict[str, str] = field(default_factory=dict)
    """Name -> sha256."""
    notes: list[str] = field(default_factory=list)


def import_original(
    version: Version, places: Path | Sequence[Path], into: Path, model: str | None = None
) -> list[Evaluation]:
    """Make an evaluation folder `into/MODEL` for each model that has outputs or annotations.

    It holds its own instructions and reference outputs, so that nothing has to be fetched to report on it. All files
    are read before anything is written.

    Args:
        version: Which version of the benchmark they are of.
        places: Folders of `results`, of a model or of an annotator, or files.
        into: Where the folders are made.
        model: Take this one only.

    Raises:
        DataError: a row is malformed, or two say different things about one answer or one verdict.
        UsageError: there are no such files, or no such model, or a target is there already.
    """
    found: dict[str, _Found] = {}
    names: dict[str, Path] = {}
    read = [(path, name, *rows.read(path)) for path, name in _files([places] if isinstance(places, Path) else places)]
    for path, given, kind, its in sorted(read, key=lambda one: one[2] != "annotations"):
        name = given if names.setdefault(given, path) == path else str(path)
        _add(version, path, name, kind, its, found)
    if not found:
        raise UsageError("there are no outputs or annotations of alpaca_eval there", hint=f"give {_LAYOUT}")
    if model is not None:
        if model not in found:
            raise UsageError(f'there is nothing about the model "{model}" there', hint=registry.suggest(model, found))
        found = {model: found[model]}
    targets = imported.targets(into, found)
    for name, one in found.items():
        _write(version, targets[name], name, one)
    return [folder.of(target) for target in targets.values()]


def _files(places: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """The files and what to call them; each once."""
    seen = set()
    for place in places:
        if not place.exists():
            raise UsageError(f"{place}: there is no such file or folder", hint=f"give {_LAYOUT}")
        for path in sorted(_below(place)) if place.is_dir() else [place]:
            if path.resolve() not in seen:
                seen.add(path.resolve())
                yield path, path.relative_to(place).as_posix() if place.is_dir() else path.name


def _below(place: Path) -> Iterator[Path]:
    for depth in range(_DEPTH + 1):
        for name in _NAMES:
            for path in place.glob("*/" * depth + name):
                is_hidden = any(part.startswith(".") for part in path.relative_to(place).parts)
                if path.is_file() and not is_hidden and not path.match(_CACHE):
                    yield path


def _add(version: Version, path: Path, name: str, kind: Kind, its: Sequence[Row], found: dict[str, _Found]) -> None:
    """Add what a file holds to what is known of its models."""
    digest = files.digest_of_file(path)
    by_model: dict[str, list[tuple[int, Row]]] = {}
    for number, row in enumerate(its, start=1):
        model = row["generator_2"] if kind == "annotations" else row.get("generator") or _name_by_place(path)
        by_model.setdefault(model, []).append((number, row))
    for model, numbered in by_model.items():
        one = found.setdefault(model, _Found())
        if kind == "annotations":
            _add_annotations(version, path, name, model, numbered, one)
        else:
            _add_outputs(path, name, model, numbered, one)
        one.files[name] = digest


def _add_outputs(path: Path, name: str, model: str, numbered: Sequence[tuple[int, Row]], found: _Found) -> None:
    problems: list[Problem] = []
    seen = set()
    for number, row in numbered:
        question = _asked(row, found)
        seen.add(question)
        problems += _set(found.outputs, question, row["output"], f"{model}'s output", number)
    rows.demand(path, problems)
    if again := len(numbered) - len(seen):
        found.notes.append(f"{name}: rows that say again what an earlier row says: {again}; they count once")


def _add_annotations(
    version: Version, path: Path, name: str, model: str, numbered: Sequence[tuple[int, Row]], found: _Found
) -> None:
    problems: list[Problem] = []
    again = otherwise = 0
    for number, row in numbered:
        question = _asked(row, found)
        theirs = found.references.setdefault(row["generator_1"], {})
        problems += _set(found.outputs, question, row["output_2"], f"{model}'s output_2", number)
        problems += _set(theirs, question, row["output_1"], f"{row['generator_1']}'s output_1", number)
        judgment = judgment_of(version, row)
        known = found.judgments.setdefault((row["annotator"], row["generator_1"], question), judgment)
        if known is not judgment:
            again += 1
            if (known.state, known.score) != (judgment.state, judgment.score):
                wrong = f"{row['annotator']} has another verdict on the same instruction in an earlier row"
                problems.append(Problem(wrong, rows.place(number)))
        otherwise += judgment.state == "ok" and bool(judgment.why)
    rows.demand(path, problems)
    if again:
        found.notes.append(f"{name}: rows that say again what an earlier row says: {again}; they count once")
    if otherwise:
        found.notes.append(f"{name}: preferences kept as stored, though the token probabilities differ: {otherwise}")
    if others := set().union(*(row for _, row in numbered)) - KNOWN:
        found.notes.append(f"{name}: fields that are not kept: {', '.join(sorted(others))}")


def _asked(row: Row, found: _Found) -> str:
    """The question of a row, noted; a later row may know what data set it is of."""
    question = id_of(row["instruction"])
    dataset = row.get("dataset")
    if question not in found.questions or not found.questions[question].category:
        found.questions[question] = question_of(row["instruction"], dataset if isinstance(dataset, str) else "")
    return question


def _set(outputs: dict[str, str], question: str, text: str, what: str, number: int) -> Iterator[Problem]:
    if outputs.setdefault(question, text) != text:
        yield Problem(f"{what} is not what an earlier row or file has for the same instruction", rows.place(number))


def _name_by_place(path: Path) -> str:
    """Of outputs that do not say whose they are: the folder's name, as in `results`, or the file's."""
    return path.resolve().parent.name if path.name == OUTPUTS else path.stem


def _write(version: Version, target: Path, model: str, found: _Found) -> None:
    facts: dict[str, Any] = {
        "format": folder.FORMAT,
        "model": {"name": model},
        "benchmark": version.benchmark,
        "imported": {"format": "alpaca_eval", "files": found.files, "notes": found.notes},
    }
    asked = [one for one in found.questions.values() if one.id in found.outputs]
    answers = (Answer(question_id=one.id, turn=1, text=found.outputs[str(one.id)]) for one in asked)
    with files.new_folder(target) as work:
        own.keep_questions(work, asked)
        imported.write_records(work / folder.ANSWERS, (folder.record_of(answer) for answer in answers))
        imported.write_records(work / folder.JUDGMENTS, (record_of(judgment) for judgment in found.judgments.values()))
        for name, outputs in found.references.items():
            answered: dict[int | str, Sequence[str]] = {question: (text,) for question, text in outputs.items()}
            Evaluation(work).keep_reference(Reference(name=name, answers=answered))
        facts["questions"] = {"count": len(asked), "file": files.digest_of_file(work / own.QUESTIONS)}
        files.write_json(work / folder.FACTS, facts)
