"""Every layout with a row of it, for every kind of rows that a task may want; see test_rows for the oldest of them."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli.errors import DataError
from align_cli.mix.layout import layouts, rows, shapes
from align_cli.mix.layout.layouts import LayoutError, recognise
from align_cli.mix.sources.locate import Located
from align_cli.recipe.schema import Source
from tests.mix.conftest import ROWS, chat

PAIRS, JUDGED, PROMPTS = ("preference",), ("unpaired",), ("prompt",)
U, A, B = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}
ASKED, GOOD, POOR = [("user", "q", None)], [("assistant", "a", None)], [("assistant", "b", None)]
NOTHING = (None, None)
HH = "\n\nHuman: q\n\nAssistant: "


def made(row: dict[str, Any], kinds: tuple[str, ...], **source: Any) -> tuple[str, str, Any]:
    fit = recognise([row], Source(path="x", **source), kinds)
    return fit.layout.name, fit.shape, rows.converter(fit, fit.shape)(row)


def refused(row: dict[str, Any], kinds: tuple[str, ...], **source: Any) -> LayoutError:
    with pytest.raises(LayoutError) as caught:
        recognise([row], Source(path="x", **source), kinds)
    return caught.value


@pytest.mark.parametrize(
    ("row", "layout"),
    [
        ({"prompt": [U], "chosen": [A], "rejected": [B]}, "preference"),
        ({"chosen": [U, A], "rejected": [U, B]}, "preference"),
        ({"prompt": [U], "chosen": [U, A], "rejected": [U, B]}, "preference"),
        ({"prompt": "q", "chosen": [U, A], "rejected": [U, B], "score_chosen": 9.0}, "preference"),  # UltraFeedback
        ({"prompt": "q", "chosen": [A], "rejected": [B]}, "preference"),
        ({"prompt": [U], "chosen": A, "rejected": B}, "preference"),
        ({"prompt": [U], "chosen": "a", "rejected": "b"}, "preference"),
        ({"chosen": json.dumps([U, A]), "rejected": json.dumps([U, B])}, "preference"),
        ({"chosen_messages": [U, A], "rejected_messages": [U, B]}, "preference"),
        ({"chosen": HH + "a", "rejected": HH + "b"}, "hh_rlhf"),
        (
            {
                "conversations": [{"from": "human", "value": "q"}],
                "chosen": {"from": "gpt", "value": "a"},
                "rejected": {"from": "gpt", "value": "b"},
            },
            "sharegpt_preference",
        ),
        ({"messages": [U], "chosen": A, "rejected": B}, "sharegpt_preference"),
        ({"instruction": "q", "input": "", "chosen": "a", "rejected": "b"}, "alpaca_preference"),
        ({"question": "q", "chosen": "a", "rejected": "b"}, "question_preference"),
    ],
)
def test_every_layout_of_pairs_becomes_prompt_chosen_and_rejected(row: dict[str, Any], layout: str) -> None:
    assert made(row, PAIRS) == (layout, "preference_turns", (ASKED, GOOD, POOR, *NOTHING))


@pytest.mark.parametrize(
    ("row", "columns", "expected"),
    [
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, {}, ("q", "a", "b")),
        (
            {"question": "q", "good": " a", "bad": " b"},
            {"prompt": "question", "chosen": "good", "rejected": "bad"},
            ("q", " a", " b"),
        ),
        ({"a1": "a", "a2": "b", "label": "a1"}, {}, ("", "a", "b")),
        ({"prompt": "q", "response_a": "b", "response_b": "a", "winner": "B"}, {}, ("q", "a", "b")),
        ({"prompt": "q", "response_0": "b", "response_1": "a", "better_response_id": 1}, {}, ("q", "a", "b")),
    ],
)
def test_pairs_of_texts_stay_texts(row: dict[str, Any], columns: dict[str, str], expected: tuple[str, ...]) -> None:
    assert made(row, PAIRS, columns=columns)[1:] == ("preference_text", expected)


def test_a_dialogue_that_parts_early_has_the_common_turns_as_its_prompt() -> None:
    chosen, rejected = [U, A, U, A], [U, B, U, B]

    assert made({"chosen": chosen, "rejected": rejected}, PAIRS)[2][:3] == (
        ASKED,
        [*GOOD, *ASKED, *GOOD],
        [*POOR, *ASKED, *POOR],
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "q", "chosen": "a", "rejected": "a"}, "are equal"),
        ({"chosen": [U, A], "rejected": [U, A]}, "are equal"),
        ({"chosen": HH + "a", "rejected": HH}, "the rejected answer is empty"),
        ({"prompt": "q", "chosen": " ", "rejected": "a"}, "the chosen answer is empty"),
        ({"chosen": [U, A], "rejected": []}, '"rejected" is an empty list'),
        ({"chosen": [{**U, "content": "p"}, A], "rejected": [U, B]}, "no turn in common"),
        ({"chosen": [U, A, U, A], "rejected": [U, A, {**U, "content": "p"}, B]}, "differ at turn 3"),
        ({"chosen": [U, A, U], "rejected": [U, B, U]}, "the last turn of the chosen answer is not the assistant's"),
        ({"prompt": [U], "chosen": [U, A], "rejected": [{**U, "content": "p"}, B]}, "only one side begins"),
        ({"prompt": "q", "chosen": None, "rejected": "b"}, '"chosen" is null'),
        ({"a1": "a", "a2": "b", "label": "tie"}, '"label" is tie'),
    ],
)
def test_pairs_without_a_lesson_are_bad_rows(row: dict[str, Any], reason: str) -> None:
    good: dict[str, Any] = {"chosen": [U, A], "rejected": [U, B]}
    if "label" in row:
        good = {"a1": "a", "a2": "b", "label": "a2"}
    elif isinstance(row["rejected"], str):
        good = {"chosen": HH, "rejected": HH} if row["rejected"] == HH else {"chosen": "a", "rejected": "b"}
    fit = recognise([row, good], Source(path="x"), PAIRS)

    with pytest.raises(rows.BadRowError, match=reason):
        rows.converter(fit, fit.shape)(row)


@pytest.mark.parametrize("label", [True, 1, 1.0, "true", "True", "1"])
def test_labels_may_be_written_as_people_write_them(label: Any) -> None:
    assert made({"prompt": "q", "completion": "a", "label": label}, JUDGED) == (
        "unpaired",
        "unpaired_text",
        ("q", "a", True),
    )


@pytest.mark.parametrize(
    ("row", "layout"),
    [
        ({"prompt": [U], "completion": [A], "label": False}, "unpaired"),
        ({"prompt": "q", "completion": [U, A], "label": False}, "unpaired"),  # kto-mix-15k
        ({"messages": [U, A], "label": False}, "unpaired_messages"),
        (
            {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "kto_tag": False},
            "unpaired_sharegpt",
        ),
        ({"instruction": "q", "input": "", "output": "a", "kto_tag": False}, "unpaired_alpaca"),
        (
            {
                "context": json.dumps([{"role": "user", "text": "q"}]),
                "generation": json.dumps({"role": "agent", "text": "a"}),
                "reward": 0.0,
            },
            "taskmaster_reward",
        ),
    ],
)
def test_every_layout_of_judged_answers(row: dict[str, Any], layout: str) -> None:
    assert made(row, JUDGED) == (layout, "unpaired_turns", (ASKED, GOOD, False, *NOTHING))


def test_a_graded_label_is_no_verdict() -> None:
    good = {"prompt": "q", "completion": "a", "label": 1}
    fit = recognise([good], Source(path="x"), JUDGED)

    with pytest.raises(rows.BadRowError, match=r"the number 0\.7"):
        rows.converter(fit, fit.shape)({**good, "label": 0.7})
    assert "not true or false" in str(refused({**good, "label": "positive"}, JUDGED).tried)


@pytest.mark.parametrize(
    ("row", "shape", "expected"),
    [
        ({"prompt": "q"}, "prompt_text", ("q",)),
        ({"prompt": [U], "chosen": [A], "rejected": [B]}, "prompt_turns", (ASKED, *NOTHING)),
        ({"messages": [U, A]}, "prompt_turns", (ASKED, *NOTHING)),
        ({"question": "q", "answer": "a"}, "prompt_turns", (ASKED, *NOTHING)),
        ({"instruction": "q", "input": "i"}, "prompt_turns", ([("user", "q\n\ni", None)], *NOTHING)),
    ],
)
def test_prompts_alone(row: dict[str, Any], shape: str, expected: Any) -> None:
    assert made(row, PROMPTS)[1:] == (shape, expected)


def test_history_comes_before_the_instruction() -> None:
    row = {"instruction": "q", "output": "a", "history": [["p", "b"]], "system": "s"}

    turns = [("system", "s", None), ("user", "p", None), *POOR, *ASKED, *GOOD]
    assert made(row, ROWS) == ("alpaca", "messages", (turns, *NOTHING))


def test_calls_and_answers_of_tools_in_sharegpt_become_what_templates_know() -> None:
    call = {"name": "f", "arguments": {"x": 1}}
    row = {
        "conversations": [
            {"from": "human", "value": "q"},
            {"from": "function_call", "value": json.dumps(call)},
            {"from": "observation", "value": "5"},
            {"from": "gpt", "value": "a"},
        ],
        "tools": json.dumps([{"name": "f", "parameters": {}}]),
    }

    turns, tools, _ = made(row, ROWS)[2]

    assert [turn[:2] for turn in turns] == [("user", "q"), ("assistant", None), ("tool", "5"), ("assistant", "a")]
    assert json.loads(turns[1][2]) == {"tool_calls": [{"type": "function", "function": call}]}
    assert json.loads(tools) == [{"type": "function", "function": {"name": "f", "parameters": {}}}]


def test_a_call_that_is_no_call_is_a_bad_row() -> None:
    row = {"conversations": [{"from": "human", "value": "q"}, {"from": "function_call", "value": "now f"}]}

    with pytest.raises(rows.BadRowError, match=r"turn 2 .* no call of a tool"):
        made(row, ROWS)


def test_parts_that_think_or_call_go_where_templates_look_for_them() -> None:
    parts = [
        {"type": "reasoning", "value": "hm"},
        {"type": "text", "value": "a"},
        {"type": "tool_call", "value": '{"name": "f", "arguments": {}}'},
    ]

    turns, _, _ = made({"messages": [U, {"role": "assistant", "content": parts}]}, ROWS)[2]

    assert turns[1][:2] == ("assistant", "a")
    assert json.loads(turns[1][2]) == {
        "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {}}}],
        "reasoning_content": "hm",
    }


def test_speakers_with_known_parts_are_recognised_and_their_lines_joined() -> None:
    said = [("user", "q"), ("assistant", "a"), ("assistant", "b")]
    row = {"utterances": [{"speaker": speaker, "text": text, "index": 0} for speaker, text in said]}

    assert made(row, ROWS) == ("speakers", "messages", ([*ASKED, ("assistant", "a\nb", None)], *NOTHING))


def test_speakers_with_names_are_taken_in_order_only_when_that_is_asked() -> None:
    row = {"messages": [[{"sender": "x1", "text": "q"}], [{"sender": "y2", "text": "a"}]]}

    assert "layout: speakers" in str(refused(row, ROWS).tried)
    assert made(row, ROWS, layout="speakers")[2][0] == [*ASKED, *GOOD]
    alone = {"messages": [[{"sender": "x1", "text": "q"}]]}
    with pytest.raises(rows.BadRowError, match="speakers in this row: 1"):
        made(alone, ROWS, layout="speakers")


@pytest.mark.parametrize("source", [{"layout": "numbered"}, {"columns": {"messages": "said.*"}}])
def test_numbered_columns_are_turns_by_their_number(source: dict[str, Any]) -> None:
    row = {"id": "7", "said.1": "1", "said.10": "10", "said.2": "2", "said.11": ""} | {
        f"said.{number}": str(number) for number in range(3, 10)
    }

    turns = made(row, ROWS, **source)[2][0]

    assert [content for _, content, _ in turns] == [str(number) for number in range(1, 11)]
    assert [role for role, _, _ in turns][:3] == ["user", "assistant", "user"]
    assert refused(row, ROWS)


def test_a_dialogue_in_one_text_is_a_conversation_when_it_is_named() -> None:
    text = "\n\nHuman: q\n\nAssistant: a\nHuman: is no mark here"
    expected = [*ASKED, ("assistant", "a\nHuman: is no mark here", None)]

    assert made({"text": text}, ROWS)[1] == "text"
    assert made({"text": text}, ROWS, layout="hh-rlhf")[1:] == ("messages", (expected, *NOTHING))
    pair = {"chosen": text, "rejected": text}
    assert made(pair, ROWS, layout="hh_rlhf", columns={"messages": "chosen"})[2][0] == expected


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "q", "chosen": "a", "rejected": "b"},
        {"prompt": "q", "completion": "a", "chosen": "a", "rejected": "b"},
        {"conversations": [{"from": "human", "value": "q"}], "chosen": "a", "rejected": "b"},
        {"chosen": [U, A], "rejected": [U, B], "text": "t"},
        {"messages": [U], "chosen": [A], "rejected": [B]},
    ],
)
def test_pairs_are_never_imitated_unasked(row: dict[str, Any]) -> None:
    assert "align train dpo" in refused(row, ROWS).hint


def test_the_better_side_can_be_imitated_when_the_recipe_says_so() -> None:
    texts = {"prompt": "q", "chosen": "a", "rejected": "b"}
    turns = {"chosen": [U, A], "rejected": [U, B]}

    assert "columns: {completion: chosen}" in refused(texts, ROWS).hint
    assert made(texts, ROWS, columns={"completion": "chosen"})[2] == ("q", "a")
    assert "columns: {messages: chosen}" in refused(turns, ROWS).hint
    assert made(turns, ROWS, columns={"messages": "chosen"})[2][0] == [*ASKED, *GOOD]
    whole = {"prompt": "q", "messages": [U, A], **turns}  # ultrafeedback_binarized has the conversation, too
    assert made(whole, ROWS)[2][0] == [*ASKED, *GOOD]


def test_judged_rows_are_not_imitated_unless_the_good_ones_are_chosen() -> None:
    row = {**chat("q"), "label": True}

    assert "where: label" in refused(row, ROWS).hint
    assert made(row, ROWS, where="label")[0] == "messages"
    assert made(row, ROWS, layout="messages")[0] == "messages"
    assert made({**chat("q"), "label": "sports"}, ROWS)[0] == "messages"


def test_judged_steps_fit_nothing_and_every_layout_says_why() -> None:
    row = {"prompt": "q", "completions": ["a", "b"], "labels": [True, False]}

    for kinds in (ROWS, PAIRS, JUDGED):
        error = refused(row, kinds)
        assert "stepwise" in error.hint
        tried = [layout.name for layout in layouts.layouts().values() if layout.kind in kinds and not layout.named]
        assert sorted(line.split(" ")[0] for line in error.tried) == sorted(tried)


def test_the_nearest_layout_is_said_first() -> None:
    row = {"prompt": "q", "completion": "a", "label": "good"}

    error = refused(row, JUDGED)

    assert error.tried[0].startswith("unpaired (")
    assert error.tried[0].endswith('"label" holds text "good", not true or false')
    assert error.hint.startswith('write "label" as true or false')
    assert refused({"prompt": "q", "chosen": "a", "worse": "b"}, PAIRS).tried[0].startswith("preference (")


@pytest.mark.parametrize(
    ("row", "kinds", "task"),
    [
        ({**chat("q")}, PAIRS, "sft"),
        ({"prompt": "q", "completion": "a"}, PAIRS, "sft"),
        ({"prompt": "q", "completion": "a", "label": True}, PAIRS, "kto"),
        ({"text": "t"}, PAIRS, "cpt"),
        ({**chat("q")}, JUDGED, "sft"),
        ({**chat("q")}, ("text",), "sft"),
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, ROWS, "dpo"),
    ],
)
def test_rows_of_another_task_name_it(row: dict[str, Any], kinds: tuple[str, ...], task: str) -> None:
    hint = refused(row, kinds).hint

    assert hint.startswith("these look like ")
    assert f"`align train {task}`" in hint


def test_one_row_that_holds_a_list_does_not_hide_the_layout() -> None:
    rows = [{"prompt": "q", "chosen": "a", "rejected": "b"} for _ in range(3)]
    rows[1] = {**rows[1], "chosen": ["a", "b"]}  # type: ignore[dict-item]

    fit = recognise(rows, Source(path="x"), PAIRS)

    assert (fit.layout.name, fit.turns) == ("preference", False)


def test_a_named_word_rules_out_layouts_that_do_not_have_it() -> None:
    row = {**chat("q"), "summary": "s", "body": "b"}

    assert made(row, ROWS, columns={"prompt": "body", "completion": "summary"})[1:] == ("pair_text", ("b", "s"))


def test_a_layout_of_another_kind_says_what_it_gives() -> None:
    error = refused({"chosen": "a", "rejected": "b"}, ROWS, layout="alpaca_preference")

    assert "gives preference rows, and this task trains on messages" in str(error)


def test_a_system_prompt_goes_where_there_is_none() -> None:
    for row, kinds in (
        (chat("q"), ROWS),
        ({"instruction": "q", "output": "a"}, ROWS),
        ({"prompt": [U], "completion": [A]}, ROWS),
        ({"chosen": [U, A], "rejected": [U, B]}, PAIRS),
        ({"prompt": [U], "completion": [A], "label": 1}, JUDGED),
        ({"messages": [U, A], "label": 1}, JUDGED),
        ({"messages": [U]}, PROMPTS),
    ):
        fit = recognise([row], Source(path="x"), kinds)
        assert rows.converter(fit, fit.shape, system="s")(row)[0][:2] == [("system", "s", None), *ASKED], row
    kept = {"messages": [{"role": "system", "content": "mine"}, U, A]}
    fit = recognise([kept], Source(path="x"), ROWS)
    assert rows.converter(fit, "messages", system="s")(kept)[0][0] == ("system", "mine", None)


def test_repairs_are_made_before_the_checks_and_counted_once_a_row() -> None:
    fit = recognise([chat("q")], Source(path="x"), ROWS)
    repaired: Counter[str] = Counter()
    convert = rows.converter(fit, "messages", repaired=repaired)

    turns = convert({"messages": [U, A, {"role": "user", "content": ""}, B]})[0]

    assert turns == [*ASKED, ("assistant", "a\n\nb", None)]
    assert set(repaired.values()) == {1}
    convert(chat("q"))
    assert set(repaired.values()) == {1}


def located(*sources: Source) -> list[Located]:
    return [Located(source, "file", ()) for source in sources]


def test_texts_beside_turns_of_the_same_kind_become_turns() -> None:
    texts, turns = {"prompt": "q", "chosen": "a", "rejected": "b"}, {"chosen": [U, A], "rejected": [U, B]}
    sources = Source(path="a"), Source(path="b")
    fits = [recognise([row], source, PAIRS) for row, source in zip((texts, turns), sources, strict=True)]

    shape, notes = shapes.common(located(*sources), fits, PAIRS)

    assert shape == "preference_turns"
    assert notes == ["a: prompt and chosen and rejected became turns"]
    assert rows.converter(fits[0], shape)(texts) == (ASKED, GOOD, POOR, *NOTHING)


def test_a_system_prompt_for_text_is_told_before_any_row_is_read() -> None:
    source = Source(path="a", system="s")
    fit = recognise([{"prompt": "q", "completion": "a"}], source, ROWS)

    with pytest.raises(DataError) as caught:
        shapes.common(located(source), [fit], ROWS)

    assert "plain text" in caught.value.problems[0].message
    assert "instruction: PROMPT" in caught.value.problems[0].hint


def test_rows_of_two_kinds_are_no_mixture() -> None:
    sources = Source(path="a"), Source(path="b")
    kinds = ("preference", "unpaired")
    both = {"chosen": [U, A], "rejected": [U, B]}, {"messages": [U, A], "label": 1}
    fits = [recognise([row], source, kinds) for row, source in zip(both, sources, strict=True)]

    with pytest.raises(DataError, match="preference and unpaired rows cannot be one mixture"):
        shapes.common(located(*sources), fits, kinds)


SAID = st.text(min_size=1).filter(lambda text: text.strip() == text and "\n\n" not in text)


@given(st.lists(SAID, min_size=2, max_size=6).filter(lambda said: len(said) % 2 == 0), SAID, SAID)
def test_a_pair_reads_the_same_as_dialogues_and_as_turns(said: list[str], good: str, poor: str) -> None:
    if good == poor:
        return
    before = [*said, "and?"]
    turns = [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(before)]
    text = "".join(f"\n\n{('Human', 'Assistant')[number % 2]}: {one}" for number, one in enumerate(before))
    sides = {"chosen": good, "rejected": poor}

    as_turns = made({word: [*turns, {**A, "content": one}] for word, one in sides.items()}, PAIRS)
    as_text = made({word: f"{text}\n\nAssistant: {one}" for word, one in sides.items()}, PAIRS)

    assert as_text[1:] == as_turns[1:]


FILES = {
    "c4_demo.jsonl": (ROWS, "text", 300),
    "wiki_demo.txt.gz": (ROWS, "text", 30),
    "identity.json": (ROWS, "alpaca", 91),
    "glaive_toolcall_en_demo.json": (ROWS, "sharegpt", 300),
    "reason_tool_use_demo_50.jsonl": (ROWS, "messages", 50),
    "dpo_en_demo.json": (PAIRS, "sharegpt_preference", 300),
    "v1_dpo_demo.jsonl": (PAIRS, "preference", 10),
    "kto_en_demo.json": (JUDGED, "unpaired_messages", 300),
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_of_llama_factory_loads(shared_data: Any, name: str) -> None:
    from align_cli.mix.reading import read
    from align_cli.mix.sources.locate import locate

    kinds, layout, num_rows = FILES[name]
    found = locate(Source(path=str(shared_data / "llamafactory-demos" / name)))
    fit = shapes.recognise(found, kinds)
    convert = rows.converter(fit, fit.shape)

    assert fit.layout.name == layout
    assert sum(1 for record in read.rows(found.parts[0].files[0]) if convert(record.row)) == num_rows


def test_hh_rlhf_reads_the_same_from_text_and_from_parquet(shared_data: Any) -> None:
    """The Parquet file was made of the same rows by others' code."""
    from align_cli.mix.reading import read
    from align_cli.mix.sources.locate import locate

    def read_all(path: str) -> list[Any]:
        found = locate(Source(path=str(shared_data / path)))
        fit = shapes.recognise(found, PAIRS)
        convert = rows.converter(fit, fit.shape)
        results: list[Any] = []
        for record in read.rows(found.parts[0].files[0]):
            try:
                results.append(convert(record.row))
            except rows.BadRowError as error:
                results.append(str(error))
        return results

    text = read_all("hh-rlhf/harmless-base/test.jsonl.gz")
    assert text == read_all("parquet/hh-harmless-messages")
    assert len(text) == 2312
    assert sum(isinstance(one, str) for one in text) == 13
