"""Small evaluations on the disk, of which everything is known."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from align_cli.evals import folder
from align_cli.evals.benchmark import MODES, Answer, Benchmark, Question, Reference, Verdict
from align_cli.evals.folder import Evaluation
from align_cli.evals.judgments import Judgment, record_of
from align_cli.evals.report import report as reports
from align_cli.evals.report.addition import Addition
from align_cli.evals.report.report import Report

JUDGE = "gpt-4"


def questions(count: int = 8, categories: Sequence[str] = ("writing", "maths"), turns: int = 2) -> list[Question]:
    return [
        Question(
            id=number,
            category=categories[number % len(categories)],
            turns=tuple(f"question {number}, turn {turn}" for turn in range(1, turns + 1)),
        )
        for number in range(count)
    ]


def benchmark(asked: Sequence[Question], *, judge: str = JUDGE, scale: tuple[float, float] = (1.0, 10.0)) -> Benchmark:
    return Benchmark(
        name="small",
        summary="a small one",
        questions=lambda assets: asked,
        asks=lambda judging: (),
        read=lambda ask, text: Verdict(unreadable="never asked"),
        judge=judge,
        scale=scale,
        modes=MODES,
    )


def referring(asked: Sequence[Question], name: str = "theirs", **others: Any) -> Benchmark:
    """A benchmark whose scores, 0 to 100, say how far an answer is preferred to that of `name`; no answer to 5.

    `others` are what else its addition has.
    """
    told = {one.id: tuple(f"reference {one.id}/{turn}" for turn in range(1, len(one.turns) + 1)) for one in asked}
    told.pop(5, None)
    added = Addition(reference=Reference(name=name, answers=told), **others)
    return replace(benchmark(asked, scale=(0.0, 100.0)), addition=lambda material, computing: added)


def answer(question: int | str, turn: int = 1, text: str = "", **others: Any) -> Answer:
    return Answer(question_id=question, turn=turn, text=text or f"answer {question}/{turn}", **others)


def answers(asked: Sequence[Question]) -> list[Answer]:
    return [answer(one.id, turn) for one in asked for turn in range(1, len(one.turns) + 1)]


def alone(model: str, question: int | str, turn: int, score: float | None, **others: Any) -> Judgment:
    """A judgment of one answer; without a score it is unreadable, or what `state` says."""
    known: dict[str, Any] = {
        "key": f"{model}/{question}/{turn}/{others.pop('time', 1)}",
        "judge": {"model": JUDGE, "endpoint": ""},
        "prompt": "single-v1",
        "state": "ok" if score is not None else "unreadable",
        "text": f"[[{score}]]",
    }
    return Judgment(question_id=question, turn=turn, models=(model,), score=score, **{**known, **others})


def game(shown: Sequence[str], question: int | str, winner: str | None, *, number: int = 1, **others: Any) -> Judgment:
    """A judgment of two answers, in the order shown."""
    known: dict[str, Any] = {
        "key": f"{'/'.join(shown)}/{question}/{others.get('turn', 1)}/{others.pop('time', 1)}",
        "judge": {"model": JUDGE, "endpoint": ""},
        "prompt": "pair-v2",
        "turn": 1,
        "state": "ok" if winner is not None else "unreadable",
        "text": f"[[{winner}]]",
    }
    return Judgment(question_id=question, game=number, models=tuple(shown), winner=winner, **{**known, **others})


def battle(model: str, opponent: str, question: int | str, first: str | None, second: str | None) -> list[Judgment]:
    """Two games: the winner with `model` shown first, and with `opponent` shown first."""
    return [game((model, opponent), question, first), game((opponent, model), question, second, number=2)]


def evaluation(
    place: Path,
    name: str,
    judgments: Iterable[Judgment] = (),
    said: Iterable[Answer] = (),
    facts: Mapping[str, Any] | None = None,
) -> Evaluation:
    """An evaluation of `name` in `place`."""
    place.mkdir(parents=True)
    found = Evaluation(place)
    found.begin({"benchmark": "small", "model": {"name": name}, **(facts or {})})
    _write(place / folder.ANSWERS, (folder.record_of(one) for one in said))
    _write(place / folder.JUDGMENTS, (record_of(one) for one in judgments))
    return found


def scored(
    place: Path, name: str, scores: Mapping[tuple[int, int], float | None], asked: Sequence[Question]
) -> Evaluation:
    """One whose answers are all there, and judged with these scores by question and turn."""
    judged = [alone(name, question, turn, score) for (question, turn), score in scores.items()]
    return evaluation(place, name, judged, answers(asked))


def report(evaluations: Sequence[Evaluation], asked: Sequence[Question], **others: Any) -> Report:
    made = others.pop("benchmark", None) or benchmark(asked)
    return reports.make(evaluations, benchmark=made, questions=asked, **others)


def _write(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
