"""Which stored answers the words of `align eval arena serve` mean, of which benchmark."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from align_cli.cli.evals.arena_answers import answered
from align_cli.errors import UsageError
from align_cli.evals.arena.serve.material import Answered, material
from align_cli.evals.benchmark import Answer, Assets, Question
from align_cli.evals.folder import record_of
from tests.cli.conftest import Align
from tests.evals.endpoint import said, serving


def evaluation(
    place: Path, benchmark: str, *, model: str = "", words: Sequence[str] = ("Write a poem.", "Name a river."), first=1
) -> Path:
    """An evaluation that brings its own questions, as one asked with `--questions` has them."""
    name = model or place.name
    questions = [Question(id=first + n, category="", turns=(text,)) for n, text in enumerate(words)]
    place.mkdir(parents=True)
    (place / "evaluation.json").write_text(json.dumps({"format": 1, "model": {"name": name}, "benchmark": benchmark}))
    rows = [{"key": str(one.id), "id": one.id, "category": "", "turns": one.turns} for one in questions]
    (place / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    answers = [record_of(Answer(question_id=one.id, turn=1, text=f"{name}: {one.turns[0]}")) for one in questions]
    (place / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    return place


def found(*places: Path, benchmark: str | None = None) -> list[Answered]:
    given = [(None, str(place)) for place in places]
    return answered(given, benchmark=benchmark, questions=None, files=Assets(None))


def refused(*places: Path, benchmark: str | None = None) -> str:
    with pytest.raises(UsageError) as raised:
        found(*places, benchmark=benchmark)
    problems = [f"{one.where} {one.message} {one.hint}" for one in raised.value.problems]
    return "\n".join([raised.value.message, raised.value.hint or "", *problems])


@pytest.mark.parametrize("other", ["alpacaeval", "alpacaeval1"])
def test_both_versions_of_alpacaeval_ask_the_same(tmp_path: Path, other: str) -> None:
    one, two = evaluation(tmp_path / "one", "alpacaeval"), evaluation(tmp_path / "two", other)

    made = material(found(one, two))

    assert made.models == ("one", "two")
    assert [item.prompts for item in made.items.values()] == [("Write a poem.",), ("Name a river.",)]
    assert made.answers["two"][next(iter(made.items))] == ("two: Write a poem.",)


def test_a_model_with_both_versions_is_no_question(tmp_path: Path) -> None:
    for model in ("one", "two"):
        for benchmark in ("alpacaeval", "alpacaeval1"):
            evaluation(tmp_path / model / benchmark, benchmark, model=model)

    assert [len(one.answers) for one in found(tmp_path / "one", tmp_path / "two")] == [2, 2]


def test_questions_of_ones_own_are_held_together_by_their_words_not_their_numbers(tmp_path: Path) -> None:
    one = evaluation(tmp_path / "one", "alpacaeval", words=("First.", "Second."), first=1)
    two = evaluation(tmp_path / "two", "alpacaeval", words=("Second.", "Third."), first=1)

    made = material(found(one, two))

    (item,) = made.items
    assert made.items[item].prompts == ("Second.",)
    assert [made.answers[name][item] for name in made.models] == [("one: Second.",), ("two: Second.",)]


def test_answers_to_several_benchmarks_are_a_question_that_an_option_answers(tmp_path: Path) -> None:
    for model in ("one", "two"):
        for benchmark in ("alpacaeval", "mtbench"):
            evaluation(tmp_path / model / "evals" / benchmark, benchmark, model=model, words=(benchmark,))
    places = [tmp_path / "one", tmp_path / "two"]

    text = refused(*places)
    chosen = found(*places, benchmark="mtbench")

    assert "several benchmarks, alpacaeval and mtbench" in text
    assert "--benchmark alpacaeval or --benchmark mtbench" in text
    assert {item.prompts for one in chosen for item in one.items.values()} == {("mtbench",)}


def test_what_has_no_benchmark_in_common_is_told_what_to_do(tmp_path: Path) -> None:
    one, two = evaluation(tmp_path / "one", "alpacaeval"), evaluation(tmp_path / "two", "mtbench")

    text = refused(one, two)

    assert f"{one} answers to alpacaeval" in text
    assert f"align eval alpacaeval generate {two}" in text
    assert f"{two}: there are no alpacaeval answers" in refused(one, two, benchmark="alpacaeval")


def test_a_folder_of_several_models_is_no_model(tmp_path: Path) -> None:
    for model in ("one", "two"):
        evaluation(tmp_path / "imported" / model, "alpacaeval")

    text = refused(tmp_path / "imported", evaluation(tmp_path / "three", "alpacaeval"))

    assert "there are 2 evaluations" in text
    assert str(tmp_path / "imported" / "two") in text


def test_a_place_without_answers_is_told_how_to_make_some(tmp_path: Path) -> None:
    text = refused(evaluation(tmp_path / "one", "alpacaeval"), tmp_path / "nothing")

    assert "align eval mtbench generate" in text
    assert "align eval alpacaeval generate" in text


def test_questions_for_evaluations_are_refused(tmp_path: Path, align: Align) -> None:
    one, two = evaluation(tmp_path / "one", "alpacaeval"), evaluation(tmp_path / "two", "alpacaeval")
    (tmp_path / "q.jsonl").write_text('{"question_id": 1, "turns": ["Write a poem."]}\n')

    done = align("eval", "arena", "serve", str(one), str(two), "--questions", "q.jsonl")

    assert done.code == 2
    assert "evaluations know their own questions" in done.err


@pytest.mark.slow
def test_what_generate_makes_of_ones_own_instructions_can_be_voted_on(tmp_path: Path, align: Align) -> None:
    (tmp_path / "own.jsonl").write_text(
        "".join(json.dumps({"instruction": f"Say {n}.", "dataset": "numbers"}) + "\n" for n in range(3))
    )
    with serving(lambda request: said(f"{request.document['model']} says {request.words}")) as server:
        for model in ("one", "two"):
            words = (model, "--endpoint", server.base_url, "--questions", "own.jsonl")
            done = align("eval", "alpacaeval", "generate", *words, OPENAI_API_KEY="sk-none")
            assert done.code == 0, done.err

    places = [tmp_path / "evals" / model for model in ("one", "two")]
    made = material(found(*places))

    assert made.models == ("one", "two")
    assert {(item.prompts, item.category) for item in made.items.values()} == {
        ((f"Say {n}.",), "numbers") for n in range(3)
    }


@pytest.mark.slow
def test_what_import_makes_of_alpacaevals_files_can_be_voted_on(tmp_path: Path, align: Align) -> None:
    data = Path(os.environ.get("ALIGN_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")
    if not (data / "alpacaeval_synth").is_dir():
        pytest.skip("needs AlpacaEval's files: ../shared/data/alpacaeval_synth beside the checkout")
    assert align("eval", "alpacaeval", "import", str(data / "alpacaeval_synth")).code == 0

    made = material(found(*(tmp_path / "evals/imported" / name for name in ("model_long", "model_short"))))

    assert made.models == ("model_long", "model_short")
    assert len(made.items) == 200
