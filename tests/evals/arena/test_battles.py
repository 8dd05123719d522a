from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli.errors import DataError
from align_cli.evals.arena import battles
from align_cli.evals.arena.battles import WINNERS, Battle, battle_of, line_of, record_of
from align_cli.evals.arena.style import Style
from tests.evals.arena.building import battle, said

_words = st.text(max_size=8)
_names = st.text(min_size=1, max_size=8)
_turns = st.lists(st.fixed_dictionaries({"role": _names, "content": st.text(st.characters(), max_size=20)}), max_size=3)
_numbers = st.floats(allow_nan=False, allow_infinity=False)
_styles = st.none() | st.builds(Style, _numbers, _numbers, _numbers, _numbers)
_battles = st.builds(
    Battle,
    id=_names,
    item=_words,
    model_a=_names,
    model_b=_names,
    winner=st.sampled_from(WINNERS),
    rater=_words,
    tstamp=_numbers,
    seconds=st.none() | _numbers,
    num_turns=st.integers(1, 9),
    turns_a=_turns.map(tuple),
    turns_b=_turns.map(tuple),
    category=_words,
    language=_words,
    style_a=_styles,
    style_b=_styles,
)


@given(_battles)
def test_a_battle_comes_back_from_its_line_as_it_was(one: Battle) -> None:
    line = line_of(record_of(one)).encode()

    assert battle_of(json.loads(line)) == one


def test_a_file_comes_back_as_it_was_half_a_character_included(tmp_path: Path) -> None:
    kept = [battle(item="81", seconds=1.5), battle(winner="both_bad", turns_a=said("Hi", "a \ud83d b")), battle()]

    battles.write(tmp_path / "b.jsonl", kept)

    assert battles.read(tmp_path / "b.jsonl") == kept


def test_every_line_that_is_no_battle_is_named(tmp_path: Path) -> None:
    good = record_of(battle())
    bad: list[Any] = [
        {**good, "winner": "left"},
        {name: value for name, value in good.items() if name != "model_b"},
        {**good, "tstamp": "noon"},
        {**good, "turns_a": [{"role": "user", "content": None}]},
    ]
    path = tmp_path / "b.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in [good, *bad]))

    with pytest.raises(DataError) as caught:
        battles.read(path)

    assert [problem.where for problem in caught.value.problems] == [f"{path}:{line}" for line in (2, 3, 4, 5)]
    said = [problem.message for problem in caught.value.problems]
    assert [word in text for word, text in zip(("winner", "model_b", "tstamp", "content"), said, strict=True)] == [
        True
    ] * 4


def test_two_votes_of_one_id_are_refused_unless_they_are_the_same(tmp_path: Path) -> None:
    one = battle(id="x")
    battles.write(tmp_path / "same.jsonl", [one, one])
    battles.write(tmp_path / "other.jsonl", [one, battle(id="x", winner="tie")])

    assert battles.read(tmp_path / "same.jsonl") == [one]
    with pytest.raises(DataError):
        battles.read(tmp_path / "other.jsonl")


def test_a_score_is_a_half_for_either_kind_of_tie() -> None:
    assert [battle(winner=winner).score_a for winner in WINNERS] == [1.0, 0.0, 0.5, 0.5]
