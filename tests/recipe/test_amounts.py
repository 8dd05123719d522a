"""How much of each source, how it is mixed and how it is cleaned: the words, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from align_cli.errors import Problem
from align_cli.recipe.schema import Clean, Mixture, Recipe, Source
from align_cli.recipe.understood import of_cleaning, of_mixture, of_source
from tests.recipe.conftest import Write

Problems = Callable[..., list[Problem]]
MODEL = "model_name_or_path: m\n"


@pytest.fixture
def mixed(recipe: Write) -> Callable[..., Recipe]:
    def load(inside: str, *words: str) -> Recipe:
        return recipe(f"{MODEL}mixture:\n{inside}", *words, least=False)

    return load


@pytest.fixture
def wrong(problems: Problems) -> Callable[..., list[Problem]]:
    def load(inside: str, *words: str) -> list[Problem]:
        return problems(f"{MODEL}mixture:\n{inside}", *words, least=False)

    return load


def test_a_fraction_of_1_is_one_value_however_it_is_written(mixed: Callable[..., Recipe]) -> None:
    written = [repr(mixed(f"  sources: [{{path: a, fraction: {text}}}]\n").mixture) for text in ("1", "1.0", "'1'")]

    assert written[0] == written[1] == written[2]
    assert mixed("  sources: [a]\n  held_out: 3.0\n").mixture.held_out == 3


def test_the_whole_block_is_read_with_the_place_of_each_word(mixed: Callable[..., Recipe]) -> None:
    loaded = mixed(
        "  sources:\n    - path: a\n      share: 0.25\n      repeat: 2\n"
        "      where: score >= 4\n      system: Be kind.\n"
        "    - {path: b, share: 0.75, held_out: 0}\n"
        "  rows: 1e3\n  oversample: true\n  order: interleaved\n"
        "  clean:\n    exact: yes\n    near: 0.9\n    languages: [en, no]\n    decontaminate: mt_bench\n",
        "mixture.clean.across=false",
        "mixture.sources.1.where=x > 1",
    )

    assert loaded.mixture.sources[0] == Source(path="a", share=0.25, repeat=2, where="score >= 4", system="Be kind.")
    assert loaded.mixture.sources[1] == Source(path="b", share=0.75, held_out=0, where="x > 1")
    assert (loaded.mixture.rows, loaded.mixture.order, loaded.mixture.oversample) == (1000, "interleaved", True)
    assert loaded.mixture.clean == Clean(
        exact=True, near=0.9, across=False, languages=("en", "no"), decontaminate=("mt_bench",)
    )
    origins = {key: str(origin) for key, origin in loaded.origins.items() if key.startswith("mixture")}
    assert origins["mixture.clean.near"] == "recipe.yaml:15"
    assert origins["mixture.clean.across"] == "mixture.clean.across=false"
    assert origins["mixture.sources.0.repeat"] == "recipe.yaml:6"
    assert "mixture.clean" not in origins


@pytest.mark.parametrize("words", [("mixture.clean.exact=true",), ("--mixture.clean.exact", "true")])
def test_cleaning_may_be_asked_for_on_the_command_line(mixed: Callable[..., Recipe], words: tuple[str, ...]) -> None:
    assert mixed("  sources: [a]\n", *words).mixture.clean == Clean(exact=True)


def test_files_to_clean_by_lie_beside_their_recipe(here: Path, mixed: Callable[..., Recipe]) -> None:
    (here / "sub").mkdir()
    (here / "sub" / "own.jsonl").write_text("{}\n")
    (here / "sub" / "base.yaml").write_text(
        "mixture:\n  sources: [a]\n  clean: {decontaminate: [own.jsonl, 'own.jsonl:question', mt_bench]}\n"
    )
    (here / "recipe.yaml").write_text(f"extends: sub/base.yaml\n{MODEL}")
    from align_cli.recipe.load import load
    from tests.recipe.conftest import task

    found = load(["recipe.yaml"], task()).mixture.clean.decontaminate

    own = str(here / "sub" / "own.jsonl")
    assert found == (own, f"{own}:question", "mt_bench")


SHARES = "  sources: [{path: a, share: %s}, {path: b%s}]\n"
ONE = "  sources: [{path: a, %s}]\n"


@pytest.mark.parametrize(
    ("inside", "said", "hint"),
    [
        (ONE % "fraction: 1.5", "fraction is 1.5", "repeat: 1.5 trains on its rows that often"),
        (ONE % "fraction: 2000", "fraction is 2000", "rows: 2000 takes that many rows"),
        (ONE % "fraction: 50", "fraction is 50", "fraction: 0.5 takes 50 % of them"),
        (ONE % "fraction: 30%", 'a number or null, not "30%"', "fraction: 0.3"),
        (ONE % "rows: 0.5", "a whole number or null, not 0.5", "fraction: 0.5"),
        (ONE % "tokens: 0", "tokens is 0, at least 1", ""),
        (ONE % "rows: 1, tokens: 1, fraction: 1", "fraction and rows and tokens all say", "keep one"),
        (ONE % "repeat: 0.5", "repeat is 0.5, at least 1", "fraction: 0.5"),
        (ONE % "held_out: -1", "held_out is -1", "remove it"),
        (ONE % "held_out: 1.5", "a whole number", ""),
        (ONE % "where: ' '", "where is empty", "score >= 4"),
        (ONE % "columns: {prompt: x, completion: x}", '"x" is named for prompt and for completion', "of its own"),
        (ONE % "columns: [messages]", "expected a mapping", "keep_columns"),
        (ONE % "keep_columns: [x, x]", 'names "x" twice', "once"),
        (ONE % "share: 40", "share is 40", "share: 0.4 is 40 %"),
        (SHARES % ("0.3", ""), "not for b", "leave 0.7 for it"),
        (SHARES % ("0.3", ", share: 0.9"), "add up to 1.2, not to 1", "0.25, 0.75"),
        (SHARES % ("0", ", share: 0"), "add up to 0", ""),
        (SHARES % ("0.3", ", share: 0.7") + "  temperature: 2\n", "both say how large each part", "keep one"),
        ("  sources: [a]\n  rows: 1\n  tokens: 1\n", "both say how large the mixture is", "keep one"),
        ("  sources: [a]\n  rows: 0\n", "rows is 0, at least 1", ""),
        ("  sources: [a]\n  temperature: 0\n", "temperature is 0, more than 0", "1 keeps"),
        ("  sources: [a]\n  oversample: true\n", "nothing says how large their part is", "share:"),
        ("  sources: [a]\n  order: random\n", "one of shuffled, interleaved, concatenated", ""),
        ("  sources: [a]\n  order: interleaved\n  combine: trl\n", "has no order", "combine: native"),
        ("  sources: [{path: a, repeat: 2}]\n  combine: handbook-2023\n", "has no repeat", "combine: native"),
        ("  sources: [a]\n  eval: [{path: b, share: 1}]\neval_strategy: epoch\n", "sources to train on", "remove"),
        ("  sources: [a]\n  clean: true\n", "mixture.clean must be a mapping", "clean: {exact: true}"),
        ("  sources: [a]\n  clean: {near: 1.5}\n", "near is 1.5", "0.015"),
        ("  sources: [a]\n  clean: {near: 0}\n", "near is 0", "0.85"),
        ("  sources: [a]\n  clean: {ngram: 0}\n", "ngram is 0", "13"),
        ("  sources: [a]\n  clean: {max_turns: 0}\n", "max_turns is 0", ""),
        ("  sources: [a]\n  clean: {min_characters: 9, max_characters: 3}\n", "no row is left", "exchange"),
        ("  sources: [a]\n  clean: {languages: [English]}\n", '"English" is no code', "ISO 639-1"),
        ("  sources: [a]\n  clean: {exakt: true}\n", "unknown key mixture.clean.exakt", "did you mean exact?"),
        ("  sources: [a]\n  clean: {decontaminate: [gone.jsonl]}\n", "no file gone.jsonl", "mt_bench"),
        ("  sources: [{path: o/a, streaming: true}]\n", "how far o/a is to be read", "rows: 10000"),
        # words of other tools, and ours in the wrong place
        (ONE % "filter: x", "unknown key mixture.sources.0.filter", "where is what"),
        (ONE % "token_budget: 1", "unknown key", "tokens is what"),
        (ONE % "upsample: 2", "unknown key", "repeat is what"),
        (ONE % "epochs: 2", "unknown key", "repeat is what"),
        (ONE % "mixture_proportion: 1", "unknown key", "share is what"),
        (ONE % "weight: 1", "unknown key", "share its part of the mixture"),
        (ONE % "exact: true", "unknown key", "exact belongs to mixture.clean"),
        (ONE % "temperature: 1", "unknown key", "temperature belongs to mixture"),
        ("  sources: [a]\n  mixing_strategy: x\n", "unknown key", "order is what"),
        ("  sources: [a]\n  interleave: true\n", "unknown key", "order is what"),
        ("  sources: [a]\n  dedup: true\n", "unknown key", "mixture.clean.exact is what"),
        ("  sources: [a]\n  filter: x\n", "unknown key", "belongs to a source"),
        ("  sources: [a]\n  clean: {minhash: 0.8}\n", "unknown key", "near is what"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_write(
    wrong: Callable[..., list[Problem]], inside: str, said: str, hint: str
) -> None:
    found = wrong(inside)

    assert len(found) == 1, found
    assert said in found[0].message
    assert hint in found[0].hint
    assert found[0].where.startswith("recipe.yaml:")


def test_everything_wrong_comes_at_once(wrong: Callable[..., list[Problem]]) -> None:
    found = wrong(
        "  sources:\n    - {path: a, share: 2, repeat: 0.1}\n    - {path: b, columns: {x: c, y: c}}\n"
        "  tokens: 0\n  clean: {near: 7, min_turns: 3, max_turns: 2}\n"
    )

    assert [problem.where for problem in found] == [f"recipe.yaml:{line}" for line in (4, 4, 5, 5, 6, 7, 7)]


def test_an_unreadable_share_is_not_also_missing(wrong: Callable[..., list[Problem]]) -> None:
    assert len(wrong(SHARES % ("0.3", ", share: most"))) == 1
    assert len(wrong(SHARES % ("0.3", ", proportion: 0.7"))) == 1


@pytest.mark.parametrize("shares", [("0.1", "0.9"), ("0.3333333", "0.6666666"), ("1", "0")])
def test_shares_that_add_up_are_taken(mixed: Callable[..., Recipe], shares: tuple[str, str]) -> None:
    found = mixed(SHARES % (shares[0], f", share: {shares[1]}"))

    assert [source.share for source in found.mixture.sources] == [float(share) for share in shares]


@pytest.mark.parametrize(
    "inside",
    [
        ONE % "share: 1, rows: 10",
        ONE % "repeat: 2.5, tokens: 10",
        ONE % "held_out: 10" + "  held_out: 0.1\n",
        "  sources: [a]\n  rows: 10\n  oversample: true\n",
        "  sources: [{path: a, where: x > 1, system: s}]\n  combine: trl\n",
        "  sources: [{path: a, fraction: 3}, {path: b, fraction: 2}]\n  combine: trl\n",
    ],
)
def test_words_that_go_together_are_taken(mixed: Callable[..., Recipe], inside: str) -> None:
    mixed(inside)


def test_things_without_effect_are_noted(here: Path, mixed: Callable[..., Recipe]) -> None:
    (here / "a.jsonl").write_text("{}\n")

    loaded = mixed("  sources: [{path: a.jsonl, streaming: true, share: 0}, {path: b, share: 1}]\n")

    said = {note.key: note.message for note in loaded.notes}
    assert "no effect" in said["mixture.sources.0.streaming"]
    assert "its share is 0" in said["mixture.sources.0.share"]


def test_the_same_source_with_another_condition_is_another_source(mixed: Callable[..., Recipe]) -> None:
    loaded = mixed("  sources: [{path: a, where: x > 1}, {path: a, where: x < 1}]\n")

    assert not any("twice" in note.message for note in loaded.notes)


def test_rows_of_one_source_may_be_held_out_for_evaluation(mixed: Callable[..., Recipe]) -> None:
    loaded = mixed("  sources: [{path: a, held_out: 10}, b]\neval_strategy: epoch\n")

    assert loaded.mixture.sources[0].held_out == 10


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Source(path="a"), "all"),
        (Source(path="a", fraction=1), "all"),
        (Source(path="a", fraction=0.5), "fraction 0.5"),
        (Source(path="a", rows=1000), "rows 1,000"),
        (Source(path="a", tokens=2_000_000), "tokens 2,000,000"),
        (Source(path="a", share=0.3), "share 30 %"),
        (Source(path="a", share=0.3, rows=10), "share 30 % within rows 10"),
        (Source(path="a", repeat=2.5), "× 2.5"),
        (Source(path="a", fraction=0.5, repeat=2), "fraction 0.5 × 2"),
        (Source(path="a", rows=5, shuffle=False), "rows 5, the first ones"),
        (Source(path="a", where="x > 1"), "all where x > 1"),
        (Source(path="a", held_out=0.1), "all, 10 % held out"),
    ],
)
def test_what_was_understood_of_a_source(source: Source, said: str) -> None:
    assert of_source(source, Mixture()) == said


def test_what_was_understood_of_a_mixture() -> None:
    mixture = Mixture(rows=1000, temperature=2, oversample=True, order="interleaved", held_out=0.05)

    assert ", ".join(of_mixture(mixture)) == (
        "combined as native, 1,000 rows in all, temperature 2, small sources repeat, interleaved, seed 42, "
        "5 % held out of each source for evaluation"
    )
    assert of_cleaning(Clean(exact=True, across=False, min_turns=2)) == [
        "exact duplicates within each source", "turns under 2"
    ]  # fmt: skip
    assert of_source(Source(path="a", fraction=0.5), Mixture(combine="trl")) == "fraction 0.5 of the mixture"
