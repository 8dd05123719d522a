from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli.mix.clean import texts
from tests.mix.clean import rows


def spelt(text: str, *, punctuation: bool = True) -> list[str]:
    words = texts.words(pa.array([text], pa.string()), punctuation=punctuation)
    return words.text(0, len(words.hashes))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello,  World!\n", ["hello", "world"]),
        ("It's 3.5 km", ["it", "s", "3", "5", "km"]),
        ("“Où est-il ?” – dit ÉMILE", ["où", "est", "il", "dit", "émile"]),
        ("東京 is big", ["東", "京", "is", "big"]),
        ("a\u00a0b\u2003c", ["a", "b", "c"]),
        ("ＦＵＬＬ ﬁt", ["full", "fit"]),
        ("", []),
        (" \t ", []),
        ("…", []),
    ],
)
def test_words_are_lower_case_letters_and_digits(text: str, words: list[str]) -> None:
    assert spelt(text) == words


def test_punctuation_may_stay_in_words() -> None:
    assert spelt("A + b!\u00a0= “c”", punctuation=False) == ["a", "+", "b!", "=", "“c”"]


@given(st.lists(st.text(max_size=30), max_size=12), st.integers(0, 12), st.booleans())
def test_words_do_not_depend_on_the_batch(values: list[str], cut: int, punctuation: bool) -> None:
    def hashes(part: list[str]) -> list[list[int]]:
        words = texts.words(pa.array(part, pa.string()), punctuation=punctuation)
        return [words.hashes[a:b].tolist() for a, b in zip(words.starts, words.starts[1:], strict=False)]

    assert hashes(values) == hashes(values[:cut]) + hashes(values[cut:])
    whole = pa.array(["x y", *values], pa.string()).slice(1)
    sliced = texts.words(whole, punctuation=punctuation)
    assert sliced.hashes.tolist() == [number for part in hashes(values) for number in part]


@given(st.lists(st.lists(st.integers(0, 3), max_size=7), max_size=6), st.integers(1, 4))
def test_runs_are_all_runs_within_a_stretch(stretches: list[list[int]], length: int) -> None:
    flat = np.array([number for stretch in stretches for number in stretch], np.uint64)
    starts = np.concatenate([[0], np.cumsum([len(stretch) for stretch in stretches], dtype=np.int64)]).astype(np.int64)

    hashes, places = texts.runs(flat, starts, length)

    expected = [
        (int(start) + at, tuple(stretch[at : at + length]))
        for start, stretch in zip(starts, stretches, strict=False)
        for at in range(len(stretch) - length + 1)
    ]
    assert places.tolist() == [place for place, _ in expected]
    number_of = dict(zip((run for _, run in expected), hashes.tolist(), strict=True))
    assert [number_of[run] for _, run in expected] == hashes.tolist()
    assert len(set(number_of.values())) == len(number_of)


def test_system_turns_are_no_turns_and_their_characters_count() -> None:
    conversation = [{"role": "system", "content": "né"}, *rows.turns("q", "four")]
    batch = rows.batch("messages", [{"messages": conversation}, {"messages": rows.turns("a", "b", "c")}])

    assert texts.turns(batch, "messages").tolist() == [2, 3]
    assert texts.characters(batch, "messages").tolist() == [7, 3]


def test_a_preference_counts_the_turns_of_one_side_and_all_characters() -> None:
    batch = rows.batch("preference_text", [{"prompt": "abc", "chosen": "de", "rejected": "f"}])

    assert texts.turns(batch, "preference_text").tolist() == [2]
    assert texts.characters(batch, "preference_text").tolist() == [6]
