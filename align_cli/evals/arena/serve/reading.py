"""Stored answers as files have them: an evaluation's folder, or a file of prompts and answers.

A row is one of::

    {"prompt": "…", "answer": "…"}                       also "prompts" and "answers", a text a turn
    {"messages": [{"role": "user", "content": "…"}, …]}  a conversation
    {"instruction": "…", "output": "…"}                  AlpacaEval's model_outputs.json
    {"question_id": 81, "choices": [{"turns": ["…"]}]}   FastChat's model_answer; the questions are apart

`id` or `question_id`, `category` and the model's name (`model`, `model_id`, `generator`) are taken where they stand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from align_cli.errors import DataError, Problem, UsageError
from align_cli.evals.arena.serve.material import Answered, Item
from align_cli.evals.benchmark import Question
from align_cli.evals.folder import Evaluation

_MOST_PROBLEMS = 20
_PROMPTS = ("prompts", "prompt", "instruction", "question", "input")
_ANSWERS = ("answers", "answer", "output", "response", "completion")
_NAMES = ("model", "model_id", "generator")
_NO_ANSWERS = ("$ERROR$", "ERROR")  # what FastChat writes where there is none


def of_evaluation(evaluation: Evaluation, questions: Sequence[Question], name: str | None = None) -> Answered:
    """The whole answers of an evaluation; questions that are answered in part are left out."""
    found, items, unanswered = evaluation.answers(), {}, 0
    answers: dict[str, tuple[str, ...]] = {}
    for question in questions:
        given = found.get(question.id, [])
        if len(given) < len(question.turns) or not all(answer.is_one for answer in given):
            unanswered += question.id in found
            continue
        item = Item(id=str(question.id), prompts=question.turns, category=question.category)
        items[item.key] = item
        answers[item.key] = tuple(answer.text for answer in given[: len(question.turns)])
    called = name or evaluation.model
    notes = [f"{called}: {unanswered:,} questions have no whole answer and are left out"] if unanswered else []
    return Answered(name=called, items=items, answers=answers, notes=notes)


def of_file(path: Path, questions: Mapping[str, Item], name: str | None = None) -> Answered:
    """The answers of a file of JSON lines, or of a JSON list. `questions` are for rows that name theirs by id.

    Raises:
        DataError: it cannot be read, or rows of it are no answers; all are named.
    """
    items: dict[str, Item] = {}
    answers: dict[str, tuple[str, ...]] = {}
    names: dict[str, None] = {}
    problems: list[Problem] = []
    empty = 0
    for place, row in _rows(path):
        try:
            item, texts = _row(row, questions)
        except ValueError as cause:
            problems.append(Problem(str(cause), place))
            continue
        names.update(dict.fromkeys(str(row[key]) for key in _NAMES if row.get(key)))
        if any(text in _NO_ANSWERS for text in texts):
            empty += 1
            continue
        items[item.key], answers[item.key] = item, texts
    if problems:
        raise DataError(f"{path}: rows are no answers", problems=problems[:_MOST_PROBLEMS], hint=_more(problems))
    if not answers:
        raise DataError(f"{path}: there are no answers in it")
    if len(names) > 1 and name is None:
        raise DataError(f"{path}: it holds answers of several models: {', '.join(names)}", hint="a file is one model's")
    called = name or next(iter(names), path.stem)
    notes = [f"{called}: {empty:,} rows hold no answer and are left out"] if empty else []
    return Answered(name=called, items=items, answers=answers, notes=notes)


def questions_of(path: Path) -> dict[str, Item]:
    """FastChat's `question.jsonl`: the questions by id.

    Raises:
        DataError: it cannot be read, or a row has no turns.
    """
    found = {}
    for place, row in _rows(path):
        turns = _texts(row.get("turns") or row.get("prompt") or row.get("prompts"))
        if not turns or row.get("question_id", row.get("id")) is None:
            raise DataError(f'{place}: this is no question: it needs "question_id" and "turns"')
        name = str(row.get("question_id", row.get("id")))
        found[name] = Item(id=name, prompts=turns, category=str(row.get("category") or ""))
    return found


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every row with its place."""
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        said = cause.strerror if isinstance(cause, OSError) else "it is no UTF-8 text"
        raise DataError(f"{path}: it cannot be read: {said}") from None
    try:
        if content.lstrip().startswith("["):
            given = [(f"{path}[{number}]", row) for number, row in enumerate(json.loads(content))]
        else:
            lines = enumerate(content.split("\n"), start=1)
            given = [(f"{path}:{number}", json.loads(line)) for number, line in lines if line.strip()]
    except (ValueError, RecursionError) as cause:
        raise DataError(f"{path}: this is no JSON: {cause}", hint="JSON lines, or one JSON list") from None
    for place, row in given:
        if not isinstance(row, dict):
            raise DataError(f"{place}: this is no JSON object")
        yield place, row


def _row(row: Mapping[str, Any], questions: Mapping[str, Item]) -> tuple[Item, tuple[str, ...]]:
    """A row's item and answers.

    Raises:
        ValueError: it is no answer; why, in words.
    """
    name = str(row.get("id") or row.get("question_id") or "")
    category = str(row.get("category") or row.get("dataset") or "")
    if isinstance(row.get("choices"), list):
        if name not in questions:
            raise ValueError(f'question "{name}" is not known: --questions FILE names FastChat\'s question.jsonl')
        choice = row["choices"][0] if row["choices"] else None
        texts = _texts(choice.get("turns")) if isinstance(choice, dict) else ()
        prompts, category = questions[name].prompts, questions[name].category
    elif isinstance(row.get("messages"), list):
        prompts, texts = _conversation(row["messages"])
    else:
        prompts = next((found for key in _PROMPTS if (found := _texts(row.get(key)))), ())
        texts = next((found for key in _ANSWERS if (found := _texts(row.get(key)))), ())
    if not prompts:
        raise ValueError(f"there is no prompt: a row needs one of {', '.join(_PROMPTS)} or messages")
    if not texts:
        raise ValueError(f"there is no answer: a row needs one of {', '.join(_ANSWERS)} or messages")
    if len(prompts) != len(texts):
        raise ValueError(f"{len(prompts)} prompts and {len(texts)} answers: there is one of each to a turn")
    return Item(id=name, prompts=prompts, category=category), texts


def _texts(value: Any) -> tuple[str, ...]:
    """A text or several; none where it is anything else."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return tuple(value)
    return ()


def _conversation(messages: Sequence[Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    turns = [(one.get("role"), one.get("content")) for one in messages if isinstance(one, dict)]
    spoken = [(role, words) for role, words in turns if role != "system" and isinstance(words, str)]
    roles = [role for role, _ in spoken]
    num_systems = sum(role == "system" for role, _ in turns)
    if len(spoken) + num_systems < len(messages) or roles != ["user", "assistant"] * (len(roles) // 2):
        raise ValueError("messages are no texts of user and assistant in turn")
    return tuple(words for _, words in spoken[::2]), tuple(words for _, words in spoken[1::2])


def _more(problems: Sequence[Problem]) -> str:
    more = len(problems) - _MOST_PROBLEMS
    return f"{more:,} more are like these" if more > 0 else ""


def demand(path: Path) -> None:
    """Raise for a file that is none.

    Raises:
        UsageError: naming it.
    """
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file")
