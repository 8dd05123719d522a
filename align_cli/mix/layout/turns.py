"""Turns of a conversation, in whatever vocabulary a file has: read into (role, content, extra), and checked.

`extra` is JSON text of a turn's other keys that templates know, such as tool_calls.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from align_cli.mix.layout import dialogue, values
from align_cli.mix.layout.layouts import Fit

Turn = tuple[str, str | None, str | None]

ROLES = ("system", "developer", "user", "assistant", "tool", "function", "ipython")
#: Keys of a turn that chat templates read, beside role and content.
EXTRA = ("tool_calls", "tool_call_id", "name", "reasoning_content", "thinking")


class BadRowError(Exception):
    """The row cannot be trained on; the text says why, `hint` what to do."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.hint = hint


def conversation(fit: Fit, row: Mapping[str, Any], column: str) -> list[Turn]:
    """The turns of a column that holds a whole conversation, in the form that the fit's layout says."""
    form = fit.layout.forms.get("messages", "turns")
    if form == "numbered":
        return _numbered(row, column)
    if form == "dialogue":
        return spoken(row, column)
    if fit.layout.speakers:
        return _by_speaker(fit, listed(row, column))
    return of(fit, listed(row, column))


def listed(row: Mapping[str, Any], column: str) -> list[Any]:
    """A column's list, which may be JSON text; never an empty one."""
    value = row.get(column)
    if isinstance(value, str):
        value = values.unpacked(value)
    if not isinstance(value, list):
        if value is None:
            raise BadRowError(f'"{column}" is {"null" if column in row else "missing"}', "expected a list of turns")
        raise BadRowError(f'"{column}" is {values.named(value)}', "expected a list of turns")
    if not value:
        raise BadRowError(f'"{column}" is an empty list', "expected at least one turn")
    return value


def of(fit: Fit, items: Iterable[Any]) -> list[Turn]:
    """The turns of a list of objects."""
    role_key, content_key, roles = fit.role, fit.content, fit.layout.roles
    turns: list[Turn] = []
    for number, turn in enumerate(items, 1):
        if not isinstance(turn, dict):
            expected = f'expected {{"{role_key}": …, "{content_key}": …}}'
            raise BadRowError(f"turn {number} is {values.named(turn)}", expected)
        role = turn.get(role_key)
        if role in fit.layout.call_roles:
            turns.append(("assistant", None, _calls(number, role, turn.get(content_key))))
            continue
        role = roles.get(role, role) if roles and isinstance(role, str) else role
        if role not in ROLES:
            raise unknown_role(number, role, role_key)
        content = turn.get(content_key)
        extra = None
        if len(turn) > 2:
            kept = {key: values.unpacked(turn[key]) for key in EXTRA if turn.get(key) is not None}
            extra = json.dumps(kept, ensure_ascii=False) if kept else None
        if content.__class__ is not str:
            content, extra = _content(number, role, content, content_key, turn, extra, fit)
        turns.append((role, content, extra))
    return turns


def spoken(row: Mapping[str, Any], column: str) -> list[Turn]:
    """The turns of a column that holds a dialogue in one text."""
    turns = dialogue.turns(text(row, column))
    if not turns:
        raise BadRowError(f'"{column}" does not begin with "Human:"', "expected \\n\\nHuman: … \\n\\nAssistant: …")
    return list(turns)


def text(row: Mapping[str, Any], column: str) -> str:
    """A column's text."""
    value = row.get(column)
    if isinstance(value, str):
        return value
    if value is None:
        raise BadRowError(f'"{column}" is {"null" if column in row else "missing"}', "expected text")
    raise BadRowError(f'"{column}" is {values.named(value)}', "expected text")


def check(turns: Sequence[Turn]) -> None:
    """An assistant must speak, and not twice in a row: what is between would be lost or learnt wrongly."""
    previous, said = "", False
    for number, (role, _, _) in enumerate(turns, 1):
        if role == "assistant":
            if previous == "assistant":
                raise BadRowError(
                    f"turns {number - 1} and {number} are both the assistant's",
                    "join them into one turn, or put the user's turn between them",
                )
            said = True
        previous = role
    if not said:
        raise BadRowError("no turn is the assistant's: there is nothing to learn", "add the answer, or remove the row")


def unknown_role(number: int, role: Any, key: str) -> BadRowError:
    """The error for a role that no template knows."""
    if role is None:
        return BadRowError(f'turn {number}: "{key}" is missing', f"expected one of {', '.join(ROLES[:5])}")
    if role in ("human", "gpt", "bot", "chatgpt", "observation", "function_call"):
        hint = "a ShareGPT word: use one vocabulary in a file, or set layout: sharegpt if all rows use it"
    else:
        hint = f"expected one of {', '.join(ROLES[:5])}"
    return BadRowError(f'turn {number} has the unknown role "{role}"', hint)


def _content(
    number: int, role: str, content: Any, key: str, turn: Mapping[str, Any], extra: str | None, fit: Fit
) -> tuple[str | None, str | None]:
    """Content that is no text: nothing beside a call, a list of parts, or what the layout keeps under another key."""
    layout = fit.layout
    if content is None:
        if role == "assistant" and turn.get("tool_calls"):
            return None, extra
        made = turn.get(layout.call_key) if layout.call_key else None
        if isinstance(made, dict):
            named = [{"name": name, "arguments": arguments} for name, arguments in made.items()]
            return None, _calls(number, role, named)
        if layout.result_key and layout.result_key in turn:
            return json.dumps(turn[layout.result_key], ensure_ascii=False), extra
        state = "null" if key in turn else "missing"
        raise BadRowError(f'turn {number} ({role}): "{key}" is {state}', "expected text")
    if not isinstance(content, list):
        raise BadRowError(f'turn {number} ({role}): "{key}" is {values.named(content)}', "expected text")
    pieces: list[str] = []
    thoughts: list[str] = []
    calls: list[Any] = []
    for part in content:
        sort, said = "text", part
        if isinstance(part, dict):
            sort = part.get("type", "text")
            said = part.get("value") if part.get("text") is None else part["text"]
        if sort == "tool_call" and role == "assistant":
            calls.append(said)
        elif sort in ("text", "reasoning") and isinstance(said, str):
            (thoughts if sort == "reasoning" else pieces).append(said)
        else:
            what = sort if isinstance(part, dict) else values.named(part)
            raise BadRowError(f"turn {number} ({role}): a part of its content is {what}", "only text parts are read")
    if thoughts or calls:
        more = json.loads(extra) if extra else {}
        if calls:
            more |= json.loads(_calls(number, role, calls))
        if thoughts:
            more["reasoning_content"] = "".join(thoughts)
        extra = json.dumps(more, ensure_ascii=False)
    return ("".join(pieces) if pieces or not calls else None), extra


def _calls(number: int, role: str, value: Any) -> str:
    """Calls of tools in the form that templates know, as JSON text of a turn's further keys."""
    found = values.unpacked(value)
    calls = []
    for item in found if isinstance(found, list) else [found]:
        call = values.unpacked(item)
        call = call.get("function", call) if isinstance(call, dict) else None
        if not isinstance(call, dict) or not isinstance(call.get("name"), str):
            raise BadRowError(
                f"turn {number} ({role}) is no call of a tool", 'expected JSON such as {"name": …, "arguments": {…}}'
            )
        arguments = values.unpacked(call.get("arguments", {}))
        calls.append({"type": "function", "function": {"name": call["name"], "arguments": arguments}})
    if not calls:
        raise BadRowError(f"turn {number} ({role}) is no call of a tool", "it is an empty list")
    return json.dumps({"tool_calls": calls}, ensure_ascii=False)


def _numbered(row: Mapping[str, Any], prefix: str) -> list[Turn]:
    """One cell a turn, the user's first; empty cells at the end are no turns."""
    columns = values.numbered(row, prefix)
    cells = [row[column] for column in columns]
    while cells and (cells[-1] is None or cells[-1] == ""):
        cells.pop()
    if not cells:
        raise BadRowError(f'no column "{prefix}1", "{prefix}2", … of this row holds anything')
    turns: list[Turn] = []
    for number, column in enumerate(columns[: len(cells)]):
        said = text(row, column)
        if not said.strip():
            raise BadRowError(f'"{column}" is empty, and turns follow it')
        turns.append(("assistant" if number % 2 else "user", said, None))
    return turns


def _by_speaker(fit: Fit, items: Sequence[Any]) -> list[Turn]:
    """Utterances, those of one speaker in a row joined to one turn, a line each."""
    said: list[Any] = []
    for item in values.flat(items):
        turn = item if isinstance(item, dict) else {}
        last = said[-1] if said and isinstance(said[-1], dict) else {}
        before, after = last.get(fit.content), turn.get(fit.content)
        same = last.get(fit.role) == turn.get(fit.role)
        if last and same and isinstance(before, str) and isinstance(after, str):
            last[fit.content] = f"{before}\n{after}"
        else:
            said.append({key: turn[key] for key in (fit.role, fit.content) if key in turn} if turn else item)
    if fit.in_order:
        names = list(dict.fromkeys(turn.get(fit.role) for turn in said if isinstance(turn, dict)))
        if len(names) != 2:
            raise BadRowError(f"speakers in this row: {len(names)}", "two are needed, the user and the assistant")
        for turn in said:
            if isinstance(turn, dict):
                turn[fit.role] = "user" if turn.get(fit.role) == names[0] else "assistant"
    return of(fit, said)
