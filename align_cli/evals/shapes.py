"""What records and documents in an evaluation's folder must look like: other programs and people change them too."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, get_args

from align_cli.evals.benchmark import AnswerState, JudgmentState


class Kind(NamedTuple):
    """A kind of value."""

    name: str
    is_one: Callable[[Any], bool]
    may_lack: bool = False
    """A record without it is whole."""


def one_of(names: Sequence[str]) -> Kind:
    """One of these texts."""
    return Kind(f"one of {', '.join(names)}", lambda value: isinstance(value, str) and value in names)


def optional(kind: Kind) -> Kind:
    """The same, or null, or nothing at all."""
    return Kind(f"{kind.name} or null", lambda value: value is None or kind.is_one(value), may_lack=True)


def usual(kind: Kind) -> Kind:
    """The same, or nothing at all."""
    return kind._replace(may_lack=True)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return (_is_whole(value) or isinstance(value, float)) and math.isfinite(value)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)


def _is_judge(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("model"), str)


def _is_request(value: Any) -> bool:
    messages = value.get("messages") if isinstance(value, Mapping) else None
    if not isinstance(messages, list) or not isinstance(value.get("parameters", {}), Mapping):
        return False
    return all(
        isinstance(one, Mapping) and isinstance(one.get("role"), str) and isinstance(one.get("content"), str)
        for one in messages
    )


def _are_attempts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, Mapping) for one in value)


def _is_usage(value: Any) -> bool:
    return isinstance(value, Mapping) and all(_is_whole(one) for one in value.values())


TEXT = Kind("a text", lambda value: isinstance(value, str))
ID = Kind("a text or a whole number", lambda value: isinstance(value, str) or _is_whole(value))
TURN = Kind("a whole number, 1 or more", lambda value: _is_whole(value) and value >= 1)
COUNT = Kind("a whole number, 0 or more", lambda value: _is_whole(value) and value >= 0)
NUMBER = Kind("a number", _is_number)
TEXTS = Kind("a list of texts", _are_texts)
OBJECT = Kind("an object", lambda value: isinstance(value, Mapping))
NAMED = Kind('an object with a text "name"', lambda value: OBJECT.is_one(value) and isinstance(value.get("name"), str))

ANSWER: Mapping[str, Kind] = {
    "key": TEXT,
    "question_id": ID,
    "turn": TURN,
    "text": TEXT,
    "state": usual(one_of(get_args(AnswerState))),
    "why": usual(TEXT),
    "prompt_tokens": usual(COUNT),
    "new_tokens": usual(COUNT),
    "near_ties": usual(COUNT),
    "seconds": usual(NUMBER),
    "tstamp": usual(NUMBER),
}
JUDGMENT: Mapping[str, Kind] = {
    "key": TEXT,
    "question_id": ID,
    "turn": TURN,
    "game": usual(TURN),
    "models": TEXTS,
    "judge": Kind('an object with a text "model"', _is_judge),
    "prompt": TEXT,
    "reference": usual(TEXT),
    "request": optional(Kind("an object with messages and parameters", _is_request)),
    "user_prompt": usual(TEXT),
    "state": usual(one_of(get_args(JudgmentState))),
    "why": usual(TEXT),
    "score": optional(NUMBER),
    "winner": optional(TEXT),
    "text": usual(TEXT),
    "usage": optional(Kind("an object of whole numbers", _is_usage)),
    "cost": optional(NUMBER),
    "attempts": optional(Kind("a list of objects", _are_attempts)),
    "seconds": usual(NUMBER),
    "tstamp": usual(NUMBER),
}
QUESTION: Mapping[str, Kind] = {
    "key": TEXT,
    "id": ID,
    "category": TEXT,
    "turns": TEXTS,
    "temperature": usual(NUMBER),
    "max_new_tokens": usual(COUNT),
}
FACTS: Mapping[str, Kind] = {
    "benchmark": TEXT,
    "model": NAMED,
    "manner": optional(OBJECT),
    "questions": optional(OBJECT),
    "imported": optional(OBJECT),
}


def fault(value: Any, shape: Mapping[str, Kind]) -> str:
    """What is wrong with a record, in words; empty where nothing is."""
    if not isinstance(value, Mapping):
        return f"it is {_said(value)}, not an object"
    for name, kind in shape.items():
        if name not in value:
            if not kind.may_lack:
                return f'it has no "{name}"'
        elif not kind.is_one(value[name]):
            return f'its "{name}" is {_said(value[name])}, not {kind.name}'
    return ""


def _said(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
