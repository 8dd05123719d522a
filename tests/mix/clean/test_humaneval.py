from __future__ import annotations

import re
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from align_cli.mix.clean import humaneval, humaneval_table
from align_cli.mix.clean.humaneval import ANCHOR, Finder, Strings
from align_cli.mix.clean.inspect import STEPS, Inspector
from align_cli.mix.clean.plan import Plan
from align_cli.recipe.schema import Clean
from tests.mix.clean import rows

OWN = "def tidy(shelf): return sorted(shelf, key=len)"


def finder(*wanted: str) -> Finder:
    named = {humaneval_table.normalise(text).encode(): f"text {number}" for number, text in enumerate(wanted)}
    return Finder(Strings.of(humaneval_table.rows(named)))


def find(wanted: str, *values: str) -> list[int]:
    return list(finder(wanted).find(pa.array(values, pa.string())))


def test_a_string_is_found_whatever_its_case_white_space_and_surroundings() -> None:
    planted = "Here:x" + OWN.upper().replace(" ", "\n\t\u00a0 ") + "y, as you asked."

    assert find(OWN, "something else", planted) == [1]


@pytest.mark.parametrize("changed", [OWN[:-1], OWN[1:], OWN.replace("len", "str"), OWN.replace(" ", "")])
def test_nearly_the_string_is_not_the_string(changed: str) -> None:
    assert find(OWN, changed) == []


def test_two_texts_do_not_make_a_string() -> None:
    assert find(OWN, OWN[:20], OWN[20:]) == []


def test_a_string_at_the_end_of_all_texts_is_found() -> None:
    assert find(OWN, "", OWN) == [1]
    assert find(OWN) == []
    assert find(OWN, "short") == []


def test_a_slice_of_a_column_is_looked_at_and_nothing_else() -> None:
    column = pa.array([OWN, "a", OWN, "é " + OWN])

    assert list(finder(OWN).find(column.slice(1, 1))) == []
    assert list(finder(OWN).find(column.slice(2))) == [0, 1]


def test_strings_that_begin_alike_are_told_apart() -> None:
    beginning = "write a function that "
    looking = finder(beginning + "adds", beginning + "multiplies two numbers")

    assert looking.find(pa.array([beginning + "multiplies two numbers", beginning + "divides"])) == {0: "holds text 1"}


def test_a_string_is_found_across_the_border_of_two_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    values = pa.array(["." * number + OWN for number in range(60)])
    monkeypatch.setattr(humaneval, "_CHUNK", 37)

    assert len(finder(OWN).find(values)) == 60


_PIECES = ["aB", "c", "K", " ", "  ", "\n", "\x1c", "\x0b", "\u2264", "\x00", "\x7f"]
_WANTED = st.lists(st.sampled_from(_PIECES), max_size=9).map("".join)
#: The Kelvin sign, the dotted capital I, a sigma that may be final, white space of all kinds.
_BEYOND = ["\u212a", "\u0130", "\u03a3", "\u00df", "\u2003", "\x85", "\u00a0"]
_TEXT = st.lists(st.sampled_from([*_PIECES, *_BEYOND]), max_size=30).map("".join)


@settings(max_examples=300)
@given(st.lists(_WANTED, min_size=1, max_size=3), st.lists(st.tuples(_TEXT, _TEXT, st.integers(0, 3)), max_size=6))
def test_found_is_what_contains_a_string_when_both_are_in_lower_case_and_spaced_alike(
    wanted: list[str], values: list[tuple[str, str, int]]
) -> None:
    texts = [one + "k c abcdefghijklmnop" + one for one in wanted]
    disguised = [*(text.replace("k", "\u212a").replace(" ", "\u2003 ") for text in texts), *texts, ""]
    contents = [before + disguised[which % len(disguised)] + after for before, after, which in values]

    found = finder(*texts).find(pa.array(contents, pa.string()))

    def normal(text: str) -> str:
        return " ".join(text.lower().split())

    assert sorted(found) == [
        number for number, one in enumerate(contents) if any(normal(text) in normal(one) for text in texts)
    ]


def test_two_characters_beyond_ascii_have_ascii_in_their_lower_case_and_all_white_space_is_known() -> None:
    characters = [chr(code) for code in range(128, sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]

    in_ascii = {one: one.lower() for one in characters if re.search(r"[\x00-\x7f≤➞]", one.lower()) and one not in "≤➞"}
    assert in_ascii == dict(humaneval._LOWER)
    assert [one for one in characters if one.isspace()] == re.findall(humaneval._SPACES, "".join(characters))


def test_the_table_holds_hashes_and_no_text() -> None:
    strings = humaneval.strings()

    assert len(strings.names) == 325
    assert all(re.fullmatch(r"the (docstring|solution) of HumanEval/\d+", name) for name in strings.names)
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in strings.digests)
    assert min(strings.lengths) >= ANCHOR
    assert max(strings.anchors) < 2**64


def test_every_turn_of_a_conversation_is_looked_at() -> None:
    batch = rows.chats(("hello", "hi"), (OWN, "thanks"), ("tidy!", f"Sure: {OWN}"))
    inspector = Inspector(Plan(Clean(decontaminate_humaneval=True), "messages", None))
    inspector._humaneval = finder(OWN)

    verdicts = inspector.inspect(batch)

    assert verdicts.step.tolist() == [0, *[STEPS.index("humaneval") + 1] * 2]
    assert verdicts.why == {1: "holds text 0", 2: "holds text 0"}


def test_of_a_preference_the_chosen_answer_is_looked_at() -> None:
    sides = [("hello", OWN, "no"), ("hello", "no", OWN), (OWN, "yes", "no")]
    made = [{"prompt": prompt, "chosen": chosen, "rejected": rejected} for prompt, chosen, rejected in sides]
    inspector = Inspector(Plan(Clean(decontaminate_humaneval=True), "preference_text", None))
    inspector._humaneval = finder(OWN)

    verdicts = inspector.inspect(rows.batch("preference_text", made))

    assert list(verdicts.why) == [0]


# -- against the benchmark itself -------------------------------------------------------------------------------------


@pytest.fixture
def benchmark_file(shared_data: Path) -> Path:
    path = shared_data / "eval" / "humaneval" / "HumanEval.jsonl.gz"
    if not path.is_file():
        pytest.skip("needs HumanEval.jsonl.gz among the shared data sets")
    return path


def test_the_table_is_made_of_the_benchmark(benchmark_file: Path) -> None:
    made = humaneval_table.text_of(humaneval_table.table(benchmark_file))

    assert made == humaneval.TABLE.read_text(encoding="utf-8")


def test_every_docstring_and_solution_is_found_in_a_conversation_but_for_three(benchmark_file: Path) -> None:
    problems = rows.lines(benchmark_file)
    texts = [f"Sure!\n{one[key]}\nDone." for one in problems for key in ("prompt", "canonical_solution")]

    found = Finder().find(pa.array(texts))

    missed = {(problems[n // 2]["task_id"], n % 2) for n in range(len(texts)) if n not in found}
    # The fourth that was to pass, the solution of HumanEval/28, does not: its entry is misspelt upstream.
    assert missed == {("HumanEval/23", 1), ("HumanEval/41", 1), ("HumanEval/53", 1)}
    assert len(problems) == 164


def test_real_conversations_hold_none_of_it(shared_data: Path) -> None:
    values = pa.array([text for one in rows.real_chats(shared_data) for text in one])

    assert Finder().find(values) == {}
