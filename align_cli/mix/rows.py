"""One row of a file, in whatever layout, becomes one row of ours, or a reason why it cannot.

Our rows are plain tuples, in the order of the columns in `spool`:
    messages     (turns, tools, chat_template_kwargs)
    pair_turns   (prompt turns, completion turns, tools, chat_template_kwargs)
    pair_text    (prompt, completion)
    text         (text,)
A turn is (role, content, extra); `extra` is JSON text of a turn's other keys that templates know, such as tool_calls.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from align_cli.mix.layouts import Fit, unpacked

Turn = tuple[str, str | None, str | None]
Row = tuple[Any, ...]

ROLES = ("system", "developer", "user", "assistant", "tool", "function", "ipython")
#: Keys of a turn that chat templates read, beside role and content.
_EXTRA = ("tool_calls", "tool_call_id", "name", "reasoning_content", "thinking")


class BadRowError(Exception):
    """The row cannot be trained on; the text says why, `hint` what to do."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.hint = hint


def converter(fit: Fit, shape: str) -> Callable[[Mapping[str, Any]], Row]:
    """The function that turns one of the source's rows into one of `shape`; it raises BadRowError.

    A pair becomes a conversation when `shape` says so: prompt and completion are then a user's and an assistant's turn.
    """
    picks = fit.picks

    def text(row: Mapping[str, Any]) -> Row:
        return (_text(row, picks["text"]),)

    def pair_text(row: Mapping[str, Any]) -> Row:
        completion = _text(row, picks["completion"])
        if not completion:
            raise BadRowError(f'"{picks["completion"]}" is empty: there is nothing to learn')
        return _text(row, picks["prompt"]), completion

    def pair_turns(row: Mapping[str, Any]) -> Row:
        if fit.turns:
            prompt = _turns(fit, row, picks["prompt"])
            completion = _turns(fit, row, picks["completion"])
            _check(prompt + completion)
        else:
            prompt_text, answer = pair_text(row)
            prompt, completion = [("user", prompt_text, None)], [("assistant", answer, None)]
        return prompt, completion, *_around(row, picks)

    def joined(row: Mapping[str, Any]) -> Row:
        prompt, completion, tools, kwargs = pair_turns(row)
        return prompt + completion, tools, kwargs

    def messages(row: Mapping[str, Any]) -> Row:
        turns = _turns(fit, row, picks["messages"])
        if "system" in picks and row.get(picks["system"]) and turns[0][0] != "system":
            turns.insert(0, ("system", _text(row, picks["system"]), None))
        _check(turns)
        return turns, *_around(row, picks)

    def asked(question: str, answer: str) -> Callable[[Mapping[str, Any]], Row]:
        def pair(row: Mapping[str, Any]) -> Row:
            user = _text(row, picks[question])
            if "input" in picks and row.get(picks["input"]):
                user = f"{user}\n\n{_text(row, picks['input'])}"
            reply = _text(row, picks[answer])
            if not reply:
                raise BadRowError(f'"{picks[answer]}" is empty: there is nothing to learn')
            turns: list[Turn] = [("user", user, None), ("assistant", reply, None)]
            if "system" in picks and row.get(picks["system"]):
                turns.insert(0, ("system", _text(row, picks["system"]), None))
            return turns, None, None

        return pair

    if shape == "text":
        return text
    if shape == "pair_text":
        return pair_text
    if shape == "pair_turns":
        return pair_turns
    if fit.layout.kind == "prompt_completion":
        return joined
    if fit.layout.name == "alpaca":
        return asked("instruction", "output")
    if fit.layout.name == "question_answer":
        return asked("question", "answer")
    return messages


def _text(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    if isinstance(value, str):
        return value
    if value is None:
        raise BadRowError(f'"{column}" is {"null" if column in row else "missing"}', "expected text")
    raise BadRowError(f'"{column}" is {_named(value)}', "expected text")


def _turns(fit: Fit, row: Mapping[str, Any], column: str) -> list[Turn]:
    value = row.get(column)
    if isinstance(value, str):
        value = unpacked(value)
    if not isinstance(value, list):
        if value is None:
            raise BadRowError(f'"{column}" is {"null" if column in row else "missing"}', "expected a list of turns")
        raise BadRowError(f'"{column}" is {_named(value)}', "expected a list of turns")
    if not value:
        raise BadRowError(f'"{column}" is an empty list', "expected at least one turn")
    role_key, content_key, roles = fit.role, fit.content, fit.layout.roles
    turns: list[Turn] = []
    for number, turn in enumerate(value, 1):
        if not isinstance(turn, dict):
            raise BadRowError(f"turn {number} is {_named(turn)}", f'expected {{"{role_key}": …, "{content_key}": …}}')
        role = turn.get(role_key)
        role = roles.get(role, role) if roles and isinstance(role, str) else role
        if role not in ROLES:
            raise _unknown_role(number, role, role_key)
        content = turn.get(content_key)
        extra = None
        if len(turn) > 2:
            kept = {key: unpacked(turn[key]) for key in _EXTRA if turn.get(key) is not None}
            extra = json.dumps(kept, ensure_ascii=False) if kept else None
        if content.__class__ is not str:
            content = _content(number, role, content, content_key, turn)
        turns.append((role, content, extra))
    return turns


def _content(number: int, role: str, content: Any, key: str, turn: Mapping[str, Any]) -> str | None:
    if content is None:
        if role == "assistant" and turn.get("tool_calls"):
            return None
        state = "null" if key in turn else "missing"
        raise BadRowError(f'turn {number} ({role}): "{key}" is {state}', "expected text")
    if isinstance(content, list):
        pieces = []
        for part in content:
            part_text = part
            if isinstance(part, dict) and part.get("type", "text") == "text":
                part_text = part.get("text", part.get("value"))
            if not isinstance(part_text, str):
                what = part.get("type", "?") if isinstance(part, dict) else _named(part)
                raise BadRowError(
                    f"turn {number} ({role}): a part of its content is {what}", "only text parts are read"
                )
            pieces.append(part_text)
        return "".join(pieces)
    raise BadRowError(f'turn {number} ({role}): "{key}" is {_named(content)}', "expected text")


def _check(turns: list[Turn]) -> None:
    """An assistant must speak, and not twice in a row: what is between would be lost or learnt wrongly."""
    previous, spoken = "", False
    for number, (role, _, _) in enumerate(turns, 1):
        if role == "assistant":
            if previous == "assistant":
                raise BadRowError(
                    f"turns {number - 1} and {number} are both the assistant's",
                    "join them into one turn, or put the user's turn between them",
                )
            spoken = True
        previous = role
    if not spoken:
        raise BadRowError("no turn is the assistant's: there is nothing to learn", "add the answer, or remove the row")


def _unknown_role(number: int, role: Any, key: str) -> BadRowError:
    if role is None:
        return BadRowError(f'turn {number}: "{key}" is missing', f"expected one of {', '.join(ROLES[:5])}")
    if role in ("human", "gpt", "bot", "chatgpt", "observation", "function_call"):
        hint = "a ShareGPT word: use one vocabulary in a file, or set layout: sharegpt if all rows use it"
    else:
        hint = f"expected one of {', '.join(ROLES[:5])}"
    return BadRowError(f'turn {number} has the unknown role "{role}"', hint)


def _around(row: Mapping[str, Any], picks: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The row's tools and chat_template_kwargs as JSON text."""
    return _json(row, picks.get("tools")), _json(row, picks.get("chat_template_kwargs"))


def _json(row: Mapping[str, Any], column: str | None) -> str | None:
    value = unpacked(row.get(column)) if column else None
    if not value:
        return None
    if isinstance(value, str):
        raise BadRowError(f'"{column}" is text that is no JSON', "expected a list or an object")
    return json.dumps(value, ensure_ascii=False)


def _named(value: Any) -> str:
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, str):
        return "text"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, list):
        return "a list"
    return "an object" if isinstance(value, dict) else "null" if value is None else type(value).__name__
