from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from align_cli.errors import DataError
from align_cli.evals.arena import logs
from align_cli.evals.arena.style import Style
from tests.evals.arena.building import battle, said

ROW: dict[str, Any] = {
    "question_id": "58210e39b3fd4441a2bd4a518bb44c2d",
    "model_a": "chatglm-6b",
    "model_b": "koala-13b",
    "winner": "model_b",
    "judge": "arena_user_973",
    "conversation_a": [{"content": "Hi", "role": "user"}, {"content": "Hello", "role": "assistant"}],
    "conversation_b": [{"content": "Hi", "role": "user"}, {"content": "Hey", "role": "assistant"}],
    "turn": 1,
    "anony": True,
    "language": "English",
    "tstamp": 1682351591.1322,
}


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def test_a_row_of_chatbot_arena_is_a_battle(tmp_path: Path) -> None:
    (one,) = logs.read(lines(tmp_path / "log.jsonl", ROW)).battles

    assert (one.id, one.model_a, one.model_b, one.winner) == (ROW["question_id"], "chatglm-6b", "koala-13b", "model_b")
    assert (one.rater, one.language, one.tstamp, one.num_turns) == ("arena_user_973", "English", 1682351591.1322, 1)
    assert one.turns_b == said("Hi", "Hey")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("model_a", "model_a"), ("tie", "tie"), ("tie (bothbad)", "both_bad"), ("both_bad", "both_bad")],
)
def test_every_winner_of_chatbot_arena_is_known(tmp_path: Path, theirs: str, ours: str) -> None:
    log = logs.read(lines(tmp_path / "log.jsonl", {**ROW, "winner": theirs}))

    assert log.battles[0].winner == ours


def test_votes_with_the_names_shown_are_left_out_and_counted(tmp_path: Path) -> None:
    itself = {**ROW, "model_b": ROW["model_a"]}

    log = logs.read(lines(tmp_path / "log.jsonl", ROW, {**ROW, "anony": False}, itself))

    assert len(log.battles) == 1
    assert log.left_out == {logs.NAMED: 1, logs.SELF: 1}


def test_one_list_and_parquet_read_as_lines_do(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = [ROW, {**ROW, "question_id": "2", "winner": "tie"}]
    (tmp_path / "log.json").write_text(json.dumps(rows))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "log.parquet")

    expected = logs.read(lines(tmp_path / "log.jsonl", *rows)).battles

    assert logs.read(tmp_path / "log.json").battles == expected
    assert logs.read(tmp_path / "log.parquet").battles == expected


def test_contents_in_pieces_are_their_texts(tmp_path: Path) -> None:
    pieces = [{"type": "text", "text": "What is this?"}, {"type": "image", "image": "x"}]
    row = {
        **ROW,
        "conversation_a": [{"role": "user", "content": pieces}, {"role": "assistant", "content": ["A cat", 1]}],
    }

    (one,) = logs.read(lines(tmp_path / "log.jsonl", row)).battles

    assert one.turns_a == said("What is this?", "A cat")


def test_votes_on_the_first_and_on_both_turns_of_a_question_are_of_two_items(tmp_path: Path) -> None:
    first, both = {**ROW, "question_id": 81}, {**ROW, "question_id": 81, "turn": 2}

    read = logs.read(lines(tmp_path / "human.jsonl", first, both)).battles

    assert len({one.item for one in read}) == len({one.id for one in read}) == 2


def test_a_table_may_say_left_and_right(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("left,right,winner,worker,prompt\nA,B,left,w1,7\nB,A,right,w2,7\nA,B,tie,w1,8\n")

    read = logs.read(tmp_path / "t.csv").battles

    assert [one.winner for one in read] == ["model_a", "model_b", "tie"]
    assert [(one.rater, one.item) for one in read] == [("w1", "7"), ("w2", "7"), ("w1", "8")]
    assert len({one.id for one in read}) == 3


def test_a_table_without_models_is_no_table_of_battles(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n1,2\n")

    with pytest.raises(DataError, match="left"):
        logs.read(tmp_path / "t.csv")


def test_a_row_that_is_no_battle_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("left,right,winner\nA,B,left\nA,B,maybe\n")

    with pytest.raises(DataError) as caught:
        logs.read(tmp_path / "t.csv")

    assert [problem.where for problem in caught.value.problems] == [f"{tmp_path / 't.csv'}:3"]


def test_counts_of_style_come_whole_or_by_kind(tmp_path: Path) -> None:
    counts: dict[str, Any] = {
        "sum_assistant_a_tokens": 414, "header_count_a": {"h1": 0, "h3": 3},
        "list_count_a": {"ordered": 1, "unordered": 1},
        "bold_count_a": {"**": 6, "__": 0}, "sum_assistant_b_tokens": 188, "header_count_b": 3, "list_count_b": 6,
        "bold_count_b": 3,
    }  # fmt: skip

    (one,) = logs.read(lines(tmp_path / "s.jsonl", {**ROW, "conv_metadata": counts})).battles

    assert (one.style_a, one.style_b) == (Style(414, 3, 2, 6), Style(188, 3, 6, 3))


@pytest.mark.parametrize("name", ["out.jsonl", "out.json"])
def test_what_is_exported_is_imported_again(tmp_path: Path, name: str) -> None:
    style = Style(3.0, 1.0, 0.0, 2.0)
    kept = [
        battle(item="81", rater="ann", tstamp=5.0, language="German", turns_a=said("Hi", "A"), turns_b=said("Hi", "B")),
        battle(winner="both_bad", num_turns=2, style_a=style, style_b=style),
    ]

    logs.write(tmp_path / name, kept)

    assert logs.read(tmp_path / name).battles == kept


def test_an_export_has_chatbot_arenas_keys_and_winners(tmp_path: Path) -> None:
    row = logs.row_of(battle(item="81", winner="both_bad"))

    assert {*ROW} <= {*row}
    assert row["winner"] == "tie (bothbad)"
    assert row["question_id"] == "81"
