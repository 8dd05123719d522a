from __future__ import annotations

import pickle
import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from align_cli.mix.clean import texts
from align_cli.mix.clean.benchmarks import texts as of_benchmarks
from align_cli.mix.clean.contamination import Finder, Reference, prepare
from tests.mix.clean import rows

QUESTION = "If a train leaves Vienna at noon and another leaves Graz at one, where and when do the two meet?"
SHORT = "Name three rivers of northern Italy."


def find(references: list[str], values: list[str], ngram: int = 13) -> dict[int, str]:
    prepared = prepare([Reference(f"item {number}", text) for number, text in enumerate(references)], ngram)
    return Finder(prepared).find(pa.array(values, pa.string()))


def test_a_run_of_words_is_found_whatever_its_case_punctuation_and_surroundings() -> None:
    planted = f"Please solve this. {QUESTION.upper().replace(' ', '  ').replace(',', ' --')} Thanks!"

    found = find([QUESTION], ["something else", planted])

    assert list(found) == [1]
    assert found[1] == (
        'holds all of item 0: "if a train leaves vienna at noon and another leaves graz at one where and when …"'
    )


def test_what_is_shared_is_counted_and_shown() -> None:
    found = find([QUESTION], ["we saw that if a train leaves Vienna at noon and another leaves Graz at nine, nothing"])

    assert found == {}
    found = find([QUESTION], ["we saw that if a train leaves Vienna at noon and another leaves Graz at nine"], ngram=10)
    assert found == {
        0: 'shares 12 words in a row with item 0: "if a train leaves vienna at noon and another leaves graz at"'
    }


def test_a_short_text_is_found_only_whole() -> None:
    assert list(find([SHORT], ["Now: name three rivers of northern Italy, quickly"])) == [0]
    assert find([SHORT], ["Name three rivers of northern Spain."]) == {}


def test_a_text_of_few_words_is_not_looked_for() -> None:
    prepared = prepare([Reference("a", "Hello, how are you"), Reference("b", SHORT)], 13)

    assert prepared.num_ignored == 1
    assert Finder(prepared).find(pa.array(["Hello, how are you today my friend"])) == {}


def test_words_of_two_texts_do_not_make_a_run() -> None:
    words = QUESTION.split()
    assert find([QUESTION], [" ".join(words[:10]), " ".join(words[10:])]) == {}


def test_references_travel() -> None:
    prepared = pickle.loads(pickle.dumps(prepare([Reference("a", QUESTION)], 13)))

    assert list(Finder(prepared).find(pa.array([QUESTION]))) == [0]


def test_nothing_to_look_for_finds_nothing() -> None:
    assert find([], [QUESTION]) == {}
    assert find([QUESTION], []) == {}


_WORDS = st.lists(st.sampled_from("abc"), max_size=14)


@settings(max_examples=150)
@given(st.lists(_WORDS, max_size=4), st.lists(_WORDS, max_size=4), st.integers(1, 9))
def test_found_is_what_shares_a_run_or_holds_a_short_text(
    references: list[list[str]], values: list[list[str]], ngram: int
) -> None:
    def runs(words: list[str], length: int) -> set[tuple[str, ...]]:
        return {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}

    expected = []
    for number, words in enumerate(values):
        shares = any(runs(words, ngram) & runs(reference, ngram) for reference in references)
        holds = any(
            min(6, ngram) <= len(reference) < ngram and tuple(reference) in runs(words, len(reference))
            for reference in references
        )
        if shares or holds:
            expected.append(number)

    found = find([" ".join(words) for words in references], [" ".join(words) for words in values], ngram)

    assert sorted(found) == expected


@pytest.fixture
def benchmark_files(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIGN_ASSETS", str(shared_data / "eval" / "mt_bench"))


def test_every_planted_question_of_mt_bench_is_found(shared_data: Path, benchmark_files: None) -> None:
    questions = rows.lines(shared_data / "eval" / "mt_bench" / "question.jsonl")
    finder = Finder(prepare(of_benchmarks(("mt_bench",)), 13))
    batch = rows.chats(*(("Help me.", f"Sure: {turn} Shall I?") for one in questions for turn in one["turns"]))

    found = finder.find(texts.pieces(batch, "messages").values)

    turns = [(one["question_id"], turn) for one in questions for turn in (1, 2)]
    assert len(questions) == 80
    assert all("mt_bench question {}, turn {}".format(*turns[place // 2]) in why for place, why in found.items())
    missed = [questions[number // 2]["turns"][number % 2] for number in range(160) if 2 * number + 1 not in found]
    assert len(missed) == 5
    assert all(len(re.findall(r"\w+", text)) < 6 for text in missed), "everybody says such things"


def test_real_sets_hold_nothing_of_mt_bench(shared_data: Path, benchmark_files: None) -> None:
    finder = Finder(prepare(of_benchmarks(("mt_bench",)), 13))
    batch = rows.chats(*rows.real_chats(shared_data))

    assert finder.find(texts.pieces(batch, "messages").values) == {}
