from __future__ import annotations

from typing import Any

import pytest

from align_cli.tasks.preparing.faithful import missing


def turn(role: str, content: str | None, **further: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **further}


CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Rome"}}}


@pytest.mark.parametrize(
    ("turns", "text", "expected"),
    [
        ([turn("user", " Hi "), turn("assistant", "Yes")], "<u>Hi<a>Yes", []),
        ([turn("system", "Be brief"), turn("user", "Hi")], "<u>Hi", [("turn", "system")]),
        ([turn("system", " \n"), turn("user", "Hi")], "<s><u>Hi", [("empty system", "")]),
        ([turn("tool", 'say "x"\n1')], '<t>"say \\"x\\"\\n1"', []),
        ([turn("assistant", "<think>so</think>\nYes")], "<a>Yes", [("reasoning", "assistant")]),
        ([turn("assistant", "<think>so</think>\nYes")], "<a>No", [("turn", "assistant")]),
        ([turn("assistant", "Yes", thinking="so so")], "<a>Yes", [("reasoning", "assistant")]),
        ([turn("assistant", None, tool_calls=[CALL])], "<a>", [("tool call", "assistant")]),
        ([turn("assistant", None, tool_calls=[CALL])], "<a>weather(Rome)", []),
    ],
)
def test_what_a_rendering_lacks_is_found(
    turns: list[dict[str, Any]], text: str, expected: list[tuple[str, str]]
) -> None:
    assert list(missing({"messages": turns}, text)) == expected


def test_words_that_come_twice_may_not_stand_for_each_other() -> None:
    row = {"prompt": [turn("user", "Hi there")], "completion": [turn("assistant", "Hi")]}

    assert list(missing(row, "Hi there Hi")) == []
    assert list(missing({"messages": [turn("user", "b"), turn("user", "a")]}, "a b")) == []


def test_tools_that_no_template_shows_are_found() -> None:
    row = {"messages": [turn("user", "Hi")], "tools": '[{"type": "function", "function": {"name": "weather"}}]'}

    assert list(missing(row, "Hi")) == [("tools", "")]
    assert list(missing(row, "weather Hi")) == []
