"""What a dry run says of rows before any of them is read."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest

from align_cli.cli.recipes import recipe_text
from align_cli.cli.render.planned import _mixture
from align_cli.cli.training.dry_run import expected_rows
from align_cli.mix.describe import SourceFact
from align_cli.recipe.schema import Clean, Launch, Mixture, Origin, Recipe, Source


def recipe(mixture: Mixture, **values: Any) -> Recipe:
    return Recipe(
        task="sft", path="r.yaml", text="", overrides=(), values=values, defaults={}, mixture=mixture, launch=Launch(),
        profile="align", behaviours={}, env={}, origins={"mixture.clean.exact": Origin("file", "r.yaml:9")}, notes=(),
    )  # fmt: skip


def facts(*available: int | None) -> list[SourceFact]:
    return [
        SourceFact(
            label="x", path="x", kind="file", exists=True, available=number, size=1, layout="", for_eval=False,
            problems=(),
        )
        for number in available
    ]  # fmt: skip


A, B = Source(path="a"), Source(path="b")


@pytest.mark.parametrize(
    ("mixture", "available", "train", "evaluate"),
    [
        (Mixture(sources=(A, B)), (100, 50), 150, 0),
        (Mixture(sources=(replace(A, fraction=0.29), B)), (100, 50), 79, 0),
        (Mixture(sources=(A, B), held_out=0.1), (100, 15), 103, 12),
        (Mixture(sources=(A, replace(B, repeat=2.5))), (100, 10), 125, 0),
        (Mixture(sources=(replace(A, share=0.5), replace(B, share=0.5))), (100, 10), 20, 0),
        (Mixture(sources=(A, B), rows=30), (100, 50), 30, 0),
        (Mixture(sources=(A, B), eval=(replace(B, rows=5),)), (100, 50, 50), 150, 5),
        (Mixture(sources=(replace(A, fraction=1), replace(B, fraction=1)), combine="trl"), (100, 50), 100, 0),
        (Mixture(sources=(A, B), combine="trl", held_out=10), (100, 50), 140, 10),
        (Mixture(sources=(replace(A, fraction=0.29), B), combine="handbook-2023"), (100, 50), 78, 0),
        (Mixture(sources=(replace(A, rows=70),)), (None,), 70, 0),
        (Mixture(sources=(A, B)), (100, None), None, 0),
        (Mixture(sources=(replace(A, where="x > 1"),)), (100,), None, 0),
        (Mixture(sources=(replace(A, tokens=9),)), (100,), None, 0),
        (Mixture(sources=(A,), tokens=9), (100,), None, 0),
        (Mixture(sources=(replace(A, rows=10**12),)), (None,), None, None),
        (Mixture(sources=(replace(A, repeat=10**9),)), (100,), None, None),
        (Mixture(sources=(A,), rows=10**12, oversample=True), (100,), 10**12, None),
        (Mixture(sources=(A,), clean=Clean(exact=True)), (100,), None, None),
        (Mixture(sources=(A,), clean=Clean(repair=True)), (100,), 100, 0),
    ],
)
def test_counts_are_those_of_the_build_where_they_can_be_known(
    mixture: Mixture, available: tuple[int | None, ...], train: int | None, evaluate: int | None
) -> None:
    found = expected_rows(recipe(mixture), facts(*available))

    assert (found["train"], found["eval"]) == (train, evaluate)


def test_an_amount_that_is_not_there_is_said() -> None:
    found = expected_rows(recipe(Mixture(sources=(A, B), rows=500)), facts(100, 50))

    assert found["train"] is None
    assert "the sources have 150" in found["why"]


def test_texts_of_humaneval_are_too_few_to_make_a_count_unknown() -> None:
    mixture = Mixture(sources=(A,), clean=Clean(decontaminate_humaneval=True))

    found = expected_rows(recipe(mixture), facts(100))

    assert (found["train"], found["why"]) == (
        100,
        "before malformed rows, rows of HumanEval and rows without trained tokens",
    )


def test_max_train_samples_cuts_the_count() -> None:
    assert expected_rows(recipe(Mixture(sources=(A,)), max_train_samples=7), facts(100))["train"] == 7


def test_the_page_shows_what_was_understood() -> None:
    from align_cli.cli.render.page import emit
    from align_cli.cli.training.dry_run import _mixture as document

    mixture = Mixture(
        sources=(replace(A, share=0.25, where="x > 1"), replace(B, share=0.75)), order="interleaved",
        clean=Clean(exact=True, decontaminate_humaneval=True),
    )  # fmt: skip
    stream = io.StringIO()

    emit(stream, *_mixture(document(recipe(mixture), facts(10, 20)), lambda place: place))

    text = stream.getvalue()
    assert "share 25 % where x > 1" in text
    assert "interleaved" in text
    assert "left out: exact duplicates" in text
    assert "left out: rows that hold a docstring or solution of HumanEval word for word" in text


def test_a_resolved_recipe_holds_the_cleaning_with_its_places() -> None:
    text = recipe_text.resolved(recipe(Mixture(sources=(A,), clean=Clean(exact=True))))

    assert "  clean:\n    exact: true" in text
    assert "# r.yaml:9" in text
