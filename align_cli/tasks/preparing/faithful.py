"""Whether a rendered conversation still holds everything that was said in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from align_cli.tasks.preparing.rendering import Row

#: What can be missing, or suspicious, in a row.
Loss = Literal["empty system", "turn", "reasoning", "tool call", "tools"]

_END_OF_REASONING = "</think>"
_REASONING = ("reasoning_content", "thinking", "reasoning")


def missing(row: Row, text: str) -> Iterator[tuple[Loss, str]]:
    """What the rendering `text` of a conversation lacks, each with a word for it, such as the turn's role.

    A turn's words, without white space at their ends, must be somewhere in the text, in the order of the turns where
    they are found in it; as they are or as JSON. Words that happen to stand elsewhere count as found.
    """
    at = 0
    for turn in _turns(row):
        content = turn.get("content")
        words = content.strip() if isinstance(content, str) else ""
        if not words:
            if turn["role"] == "system":
                yield "empty system", ""
        else:
            found = text.find(words, at)
            if found >= 0:
                at = found + len(words)
            elif words not in text and _quoted(words) not in text:
                yield _left(turn["role"], words, text)
        if len(turn) > 2:
            yield from _further(turn, text)
    if row.get("tools"):
        yield from _tools(row["tools"], text)


def _turns(row: Row) -> list[Mapping[str, Any]]:
    if "messages" in row:
        turns: list[Mapping[str, Any]] = row["messages"]
        return turns
    return [*row["prompt"], *row.get("completion", ())]


def _left(role: str, words: str, text: str) -> tuple[Loss, str]:
    if role == "assistant" and _END_OF_REASONING in words:
        answer = words.rsplit(_END_OF_REASONING, 1)[1].strip()
        if answer in text:
            return "reasoning", role
    return "turn", role


def _further(turn: Mapping[str, Any], text: str) -> Iterator[tuple[Loss, str]]:
    for key in _REASONING:
        words = turn.get(key)
        if isinstance(words, str) and words.strip() and words.strip() not in text:
            yield "reasoning", turn["role"]
            break
    for call in turn.get("tool_calls") or ():
        name = _name(call)
        if name and name not in text:
            yield "tool call", turn["role"]
            break


def _tools(tools: Any, text: str) -> Iterator[tuple[Loss, str]]:
    listed = json.loads(tools) if isinstance(tools, str) else tools
    names = [_name(tool) for tool in listed] if isinstance(listed, list) else []
    if any(name and name not in text for name in names):
        yield "tools", ""


def _name(call: Any) -> str | None:
    """The function's name, whether or not it is wrapped as OpenAI does."""
    if not isinstance(call, Mapping):
        return None
    function = call.get("function", call)
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) else None


def _quoted(words: str) -> str:
    return json.dumps(words, ensure_ascii=False)[1:-1]
