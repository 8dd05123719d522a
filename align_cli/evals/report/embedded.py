"""Everything that was asked, answered and judged, as data for the page.

Long texts stand once in a list and are named by their place in it: a judge's request repeats the question and the
answer, so it is kept as pieces, and a page with every request is hardly larger than one without.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from align_cli.evals.benchmark import Answer
from align_cli.evals.judgments import Judgment
from align_cli.evals.report.material import UNKNOWN
from align_cli.evals.report.pairs import Battle
from align_cli.evals.report.report import Report

_SHORTEST = 24  # characters of a text worth finding again inside another
_SURROGATE = re.compile("[\ud800-\udfff]")


class _Piece(NamedTuple):
    text: str
    is_known: bool


class _Texts:
    """The list; equal texts have one place."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        if text not in self._places:
            self._places[text] = len(self.all)
            self.all.append(text)
        return self._places[text]

    def pieces(self, text: str, known: Iterable[str]) -> list[int]:
        """`text` as places of its parts; `known` are texts that are likely in it, the longest looked for first."""
        pieces = [_Piece(text, False)]
        for part in sorted({one for one in known if len(one) >= _SHORTEST}, key=lambda one: (-len(one), one)):
            pieces = [new for piece in pieces for new in ([piece] if piece.is_known else _cut(piece.text, part))]
        return [self.place(piece.text) for piece in pieces]


def data_of(report: Report) -> dict[str, Any]:
    """The page's data; the models in the report's order, the questions in the benchmark's."""
    texts = _Texts()
    material = report.material
    subjects = {one.name: one for one in material.subjects}
    ordered = [subjects[one.name] for one in report.models]
    by_question = [_by_question(subject.judgments) for subject in ordered]
    battles: dict[str, list[Battle]] = {}
    for battle in report.battles:
        battles.setdefault(battle.question, []).append(battle)
    known = {str(question.id): question.turns for question in material.questions}
    asked = {str(question.id): question for question in material.questions}
    reference = report.addition.reference
    held_against = {str(question): turns for question, turns in reference.answers.items()} if reference else {}
    judged = {place for each in by_question for place in each} | battles.keys()
    strange = sorted(judged - known.keys())
    questions = []
    for name in [*known, *strange]:
        turns = known.get(name, ())
        said = [subject.answers.get(name, ()) for subject in ordered]
        theirs = held_against.get(name, ())
        parts = [*turns, *theirs, *(answer.text for each in said for answer in each)]
        for part in parts:
            texts.place(part)
        questions.append(
            {
                "id": name,
                "category": asked[name].category if name in asked else UNKNOWN,
                "turns": [texts.place(turn) for turn in turns],
                "reference": [texts.place(turn) for turn in theirs],
                "models": [
                    {
                        "answers": [_answer(answer, texts) for answer in each],
                        "judgments": [_judgment(one, texts, parts) for one in judgments.get(name, ())],
                    }
                    for each, judgments in zip(said, by_question, strict=True)
                ],
                "battles": [_battle(one, texts, parts) for one in battles.get(name, ())],
            }
        )
    return {
        "benchmark": report.benchmark,
        "judge": report.judge.name if report.judge else None,
        "reference": reference.name if reference else None,
        "scale": list(report.scale),
        "categories": list(report.categories),
        "turns": list(report.turns),
        "models": [{"name": one.name, "is_against": one.is_against} for one in report.models],
        "questions": questions,
        "texts": texts.all,
    }


def inert(data: Mapping[str, Any]) -> str:
    """JSON that can stand in a page: nothing in it ends the element, begins another, or is a broken character."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    # Half a pair of surrogates is no character that a file could hold; JSON has an escape for it.
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _cut(text: str, part: str) -> list[_Piece]:
    """`text` cut before and after every `part`."""
    made: list[_Piece] = []
    for number, between in enumerate(text.split(part)):
        made += [_Piece(part, True)] if number else []
        made += [_Piece(between, False)] if between else []
    return made


def _by_question(judgments: Sequence[Judgment]) -> dict[str, list[Judgment]]:
    found: dict[str, list[Judgment]] = {}
    for one in sorted(judgments, key=lambda one: (one.turn, one.key)):
        found.setdefault(str(one.question_id), []).append(one)
    return found


def _answer(answer: Answer, texts: _Texts) -> dict[str, Any]:
    return {
        "turn": answer.turn,
        "text": texts.place(answer.text),
        "state": answer.state,
        "why": answer.why,
        "tokens": answer.new_tokens,
        "near_ties": answer.near_ties,
    }


def _judgment(one: Judgment, texts: _Texts, known: Sequence[str]) -> dict[str, Any]:
    if one.request is None:
        messages: Sequence[Mapping[str, Any]] = (
            [{"role": "user", "content": one.user_prompt}] if one.user_prompt else []
        )
        parameters: Mapping[str, Any] = {}
    else:
        messages, parameters = one.request["messages"], one.request.get("parameters") or {}
    return {
        "turn": one.turn,
        "state": one.state,
        "why": one.why,
        "score": one.score,
        "winner": one.winner,
        "prompt": one.prompt,
        "text": texts.place(one.text),
        "request": [[str(said["role"]), texts.pieces(str(said["content"]), known)] for said in messages],
        "parameters": {str(name): value for name, value in sorted(parameters.items())},
        "tokens": [one.usage.get("prompt_tokens") or 0, one.usage.get("completion_tokens") or 0],
        "cost": one.cost,
    }


def _battle(battle: Battle, texts: _Texts, known: Sequence[str]) -> dict[str, Any]:
    return {
        "model": battle.model,
        "opponent": battle.opponent,
        "turn": battle.turn,
        "result": battle.result if battle.is_readable else None,
        "leaning": battle.leaning if battle.is_readable else None,
        "games": [None if game is None else _judgment(game, texts, known) for game in battle.games],
    }
