from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from align_cli.errors import DataError
from align_cli.mix import clean
from align_cli.mix.clean.inspect import Inspector, Verdicts
from align_cli.recipe.schema import Clean
from tests.mix.clean import rows

QUESTION = "If a train leaves Vienna at noon and another leaves Graz at one, where and when do the two meet?"
GERMAN = "Das ist ein ganz gewöhnlicher deutscher Satz, den ein jeder leicht verstehen kann."
ENGLISH = "This is quite an ordinary sentence in English, which everybody understands with ease."


def inspected(batch: Any, shape: str = "messages", **words: Any) -> Verdicts:
    plan = clean.plan(Clean(**words), shape, Path(), lambda line: None)
    assert plan is not None
    return Inspector(pickle.loads(pickle.dumps(plan))).inspect(batch)


def steps(verdicts: Verdicts) -> list[str]:
    return ["" if code == 0 else clean.STEPS[code - 1] for code in verdicts.step.tolist()]


def test_nothing_asked_of_rows_needs_no_plan() -> None:
    assert clean.plan(Clean(), "messages", Path(), lambda line: None) is None
    assert clean.plan(Clean(repair=True), "messages", Path(), lambda line: None) is None


def test_turns_and_characters_have_limits_and_the_first_step_speaks() -> None:
    batch = rows.chats(["q", "a"], ["q"], ["q", "a" * 50], ["q", "a", "r", "b"], ["q", "a" * 1200, "r"])

    found = inspected(batch, min_turns=2, max_turns=3, max_characters=40)

    assert steps(found) == ["", "turns", "characters", "turns", "characters"]
    assert found.why == {
        1: "1 turn, at least 2 asked for",
        2: "51 characters, at most 40 asked for",
        3: "4 turns, at most 3 asked for",
        4: "1,202 characters, at most 40 asked for",
    }


def test_contaminated_rows_say_by_what() -> None:
    Path("secret.txt").write_text(QUESTION + "\n")
    batch = rows.chats(["q", "a"], ["q", f"You ask: {QUESTION}"])

    found = inspected(batch, decontaminate=("secret.txt",))

    assert steps(found) == ["", "contaminated"]
    assert found.why[1].startswith('holds all of secret.txt:1: "if a train leaves vienna')


@pytest.mark.parametrize("column", ["prompt", "chosen", "rejected"])
def test_both_sides_of_a_preference_are_searched(column: str) -> None:
    Path("secret.txt").write_text(QUESTION + "\n")
    pair = {"prompt": "q", "chosen": "a", "rejected": "b"} | {column: QUESTION}

    found = inspected(rows.batch("preference_text", [pair]), "preference_text", decontaminate=("secret.txt",))

    assert steps(found) == ["contaminated"]


def test_other_languages_go_and_short_texts_stay() -> None:
    batch = rows.chats([ENGLISH, ENGLISH], [GERMAN, GERMAN], ["Ja", "Nein"], ["x" * 900])

    found = inspected(batch, languages=("en",))

    assert steps(found) == ["", "language", "", ""]
    assert found.why == {1: 'reads as "de"'}
    assert steps(inspected(batch, languages=("de", "en"))) == ["", "", "", ""]


def test_the_system_prompt_has_no_say_in_the_language() -> None:
    conversation = [{"role": "system", "content": ENGLISH * 3}, *rows.turns(GERMAN, GERMAN)]

    assert steps(inspected(rows.batch("messages", [{"messages": conversation}]), languages=("en",))) == ["language"]


def test_unknown_languages_are_refused_with_near_ones() -> None:
    with pytest.raises(DataError) as caught:
        clean.plan(Clean(languages=("english", "en")), "messages", Path(), lambda line: None)

    (problem,) = caught.value.problems
    assert problem.message == '"english" is no language that can be told'
    assert problem.hint == "a code of ISO 639-1, perhaps en"


def test_without_the_package_languages_are_refused_before_anything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("align_cli.mix.clean.language.root_of", lambda name: None)

    with pytest.raises(DataError) as caught:
        clean.references(Clean(languages=("en",)))

    assert caught.value.hint == "pip install 'align-cli[language]'"


def test_what_cannot_be_is_refused_together() -> None:
    with pytest.raises(DataError) as caught:
        clean.plan(Clean(min_turns=3, max_turns=2, min_characters=9, max_characters=1), "text", Path(), print)

    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("words", [{"near": 0.0}, {"near": 85}, {"ngram": 0}])
def test_amounts_out_of_range_are_refused(words: dict[str, Any]) -> None:
    with pytest.raises(DataError) as caught:
        clean.plan(Clean(**words), "messages", Path(), print)

    assert caught.value.problems[0].where == f"clean.{next(iter(words))}"


def test_hashes_and_signatures_are_made_where_they_are_asked_for() -> None:
    batch = rows.chats(["q", "a"], ["r", "b"])

    assert inspected(batch, exact=True).hashes.shape == (2, 2)
    assert inspected(batch, exact=True).signatures is None
    assert inspected(batch, near=0.9).signatures.shape == (2, 128)
    assert inspected(batch, near=0.9).hashes is None


def test_what_is_found_does_not_depend_on_the_batch() -> None:
    Path("secret.txt").write_text(QUESTION + "\n")
    batch = rows.chats([GERMAN, "a"], ["q", QUESTION], ["q"], [ENGLISH, "Où est-il ?"], [], ["q", "a"])
    words = {"decontaminate": ("secret.txt",), "languages": ("en",), "min_turns": 2, "exact": True, "near": 0.8}

    whole = inspected(batch, **words)
    parts = [inspected(part, **words) for part in rows.in_batches(batch, 2)]

    assert steps(whole) == [step for part in parts for step in steps(part)]
    assert whole.why == {2 * number + row: why for number, part in enumerate(parts) for row, why in part.why.items()}
    assert np.array_equal(whole.hashes, np.concatenate([part.hashes for part in parts]))
    assert np.array_equal(whole.signatures, np.concatenate([part.signatures for part in parts]))


def test_the_address_names_what_decides_the_outcome() -> None:
    Path("secret.txt").write_text(QUESTION + "\n")

    found = clean.references(Clean(decontaminate=("secret.txt",), languages=("en",), near=0.8))

    assert set(found) == {"references", "language", "near"}
    assert clean.references(Clean(exact=True, min_turns=2)) == {}
