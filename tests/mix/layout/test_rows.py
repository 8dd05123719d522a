from __future__ import annotations

import json
from typing import Any

import pytest

from align_cli.mix.layout import layouts, rows
from align_cli.mix.layout.layouts import LayoutError, recognise
from align_cli.recipe.schema import Source
from tests.mix.conftest import ROWS, chat


def converted(row: dict[str, Any], **source: Any) -> tuple[str, str, Any]:
    fit = recognise([row], Source(path="x", **source), ROWS)
    return fit.layout.name, fit.shape, rows.converter(fit, fit.shape)(row)


def turns(*said: tuple[str, str]) -> list[tuple[str, str, None]]:
    return [(role, content, None) for role, content in said]


CHAT = [("user", "q"), ("assistant", "a")]


@pytest.mark.parametrize(
    ("row", "layout", "expected"),
    [
        (chat("q"), "messages", CHAT),
        ({"conversations": chat("q")["messages"]}, "messages", CHAT),
        ({"messages": json.dumps(chat("q")["messages"])}, "messages", CHAT),
        (
            {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
            "sharegpt",
            CHAT,
        ),
        (
            {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "system": "s"},
            "sharegpt",
            [("system", "s"), *CHAT],
        ),
        ({"instruction": "q", "output": "a"}, "alpaca", CHAT),
        ({"instruction": "q", "input": "", "output": "a"}, "alpaca", CHAT),
        ({"instruction": "q", "input": "i", "response": "a"}, "alpaca", [("user", "q\n\ni"), ("assistant", "a")]),
        (
            {"instruction": "q", "context": "c", "response": "a", "category": "x"},
            "alpaca",
            [("user", "q\n\nc"), CHAT[1]],
        ),
        ({"question": "q", "answer": "a"}, "question_answer", CHAT),
        ({"prompt": "ignored", "prompt_id": "1", **chat("q")}, "messages", CHAT),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]}, chat("")["messages"][1]]},
            "messages",
            CHAT,
        ),
    ],
)
def test_every_layout_of_conversations_becomes_turns(
    row: dict[str, Any], layout: str, expected: list[tuple[str, str]]
) -> None:
    assert converted(row) == (layout, "messages", (turns(*expected), None, None))


def test_prompt_and_completion_keep_their_form() -> None:
    as_turns = {"prompt": [{"role": "user", "content": "q"}], "completion": [{"role": "assistant", "content": "a"}]}

    assert converted({"prompt": "p", "completion": "c"}) == ("prompt_completion", "pair_text", ("p", "c"))
    assert converted({"prompt": "p", "response": "c"}) == ("prompt_completion", "pair_text", ("p", "c"))
    assert converted(as_turns) == (
        "prompt_completion",
        "pair_turns",
        (turns(("user", "q")), turns(("assistant", "a")), None, None),
    )


def test_tools_and_template_arguments_travel_as_json() -> None:
    tool = {"type": "function", "function": {"name": "f"}}

    _, _, row = converted({**chat("q"), "tools": json.dumps([tool]), "chat_template_kwargs": {"thinking": True}})

    assert json.loads(row[1]) == [tool]
    assert json.loads(row[2]) == {"thinking": True}


def test_a_call_of_a_tool_needs_no_content_and_keeps_the_call() -> None:
    call = [{"type": "function", "function": {"name": "f", "arguments": "{}"}}]
    row = {"messages": [*chat("q")["messages"][:1], {"role": "assistant", "content": None, "tool_calls": call}]}

    _, _, (made, _, _) = converted(row)

    assert made[1][:2] == ("assistant", None)
    assert json.loads(made[1][2]) == {"tool_calls": call}


def test_columns_name_the_turns_and_their_keys() -> None:
    row = {"utterances": [{"speaker": "user", "text": "q"}, {"speaker": "assistant", "text": "a"}]}

    name, _, made = converted(row, columns={"messages": "utterances", "role": "speaker", "content": "text"})

    assert (name, made[0]) == ("messages", turns(*CHAT))


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (None, '"messages" is null'),
        ([], "empty list"),
        ([{"role": "user", "content": "q"}], "no turn is the assistant's"),
        (
            [{"role": "user", "content": "q"}, {"role": "assistant", "content": None}],
            r'turn 2 \(assistant\): "content" is null',
        ),
        ([{"role": "user", "content": None}, {"role": "assistant", "content": "a"}], 'turn 1 .*"content" is null'),
        ([{"role": "user", "content": 3}, {"role": "assistant", "content": "a"}], "the number 3"),
        ([{"role": "user"}, {"role": "assistant", "content": "a"}], '"content" is missing'),
        ([{"content": "q"}, {"role": "assistant", "content": "a"}], 'turn 1: "role" is missing'),
        ([{"role": "narrator", "content": "q"}], 'unknown role "narrator"'),
        (["q", "a"], "turn 1 is text"),
        ("q", '"messages" is text'),
        (
            [
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": "a"},
                {"role": "assistant", "content": "b"},
            ],
            "turns 2 and 3 are both the assistant's",
        ),
        ([{"role": "user", "content": [{"type": "image"}]}], "part of its content is image"),
    ],
)
def test_bad_rows_say_which_turn_and_why(messages: Any, reason: str) -> None:
    fit = recognise([chat("q")], Source(path="x"), ROWS)

    with pytest.raises(rows.BadRowError, match=reason):
        rows.converter(fit, "messages")({"messages": messages})


def test_human_and_gpt_in_a_messages_file_name_the_layout_that_reads_them() -> None:
    row = {"messages": [{"role": "human", "content": "q"}, {"role": "gpt", "content": "a"}]}

    with pytest.raises(rows.BadRowError, match="human") as caught:
        converted(row)

    assert "layout: sharegpt" in caught.value.hint
    assert converted(row, layout="sharegpt")[2][0] == turns(*CHAT)


def test_nothing_fits_lists_every_layout_and_why() -> None:
    with pytest.raises(LayoutError) as caught:
        recognise([{"utterances": [1], "id": 3}], Source(path="x"), ROWS)

    assert "utterances, id" in str(caught.value)
    assert sorted(line.split(" ")[0] for line in caught.value.tried) == sorted(
        name for name, layout in layouts.layouts().items() if layout.kind in ROWS and not layout.named
    )


def test_preference_pairs_point_to_the_task_that_takes_them() -> None:
    with pytest.raises(LayoutError) as caught:
        recognise([{"chosen": "a", "rejected": "b"}], Source(path="x"), ROWS)

    assert "dpo" in caught.value.hint


def test_a_column_of_the_wrong_kind_says_what_it_holds() -> None:
    with pytest.raises(LayoutError) as caught:
        recognise([{"messages": [{"speaker": "a", "text": "b"}], "text": 3}], Source(path="x"), ROWS)

    tried = "\n".join(caught.value.tried)
    assert '"messages" has turns with speaker, text, not role' in tried
    assert '"text" holds a number, not text' in tried


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"layout": "mesages"}, "did you mean messages?"),
        ({"columns": {"prompt": "messages", "completion": "messages"}}, "name each column once"),
        ({"columns": {"mesages": "messages"}}, "did you mean messages?"),
        ({"columns": {"messages": "dialog"}}, "the columns are messages"),
        ({"layout": "alpaca"}, "name the columns"),
    ],
)
def test_wrong_words_in_a_source_are_told_with_what_exists(source: dict[str, Any], words: str) -> None:
    with pytest.raises(LayoutError) as caught:
        recognise([chat("q")], Source(path="x", **source), ROWS)

    assert words in caught.value.hint


def test_a_task_for_text_reads_text_and_not_conversations() -> None:
    both = {"text": "t", **chat("q")}

    assert recognise([both], Source(path="x"), ("text",)).shape == "text"
    assert recognise([{"body": "t"}], Source(path="x", columns={"text": "body"}), ("text",)).picks == {"text": "body"}
