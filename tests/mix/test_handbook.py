"""Recipes in the Handbook's two spellings, from the file to the rows: counts, columns, and what it filtered out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from align_cli.errors import DataError, RecipeError
from align_cli.mix.build import Build, build
from align_cli.mix.clean import humaneval, humaneval_table
from align_cli.recipe.load import load
from tests.mix.conftest import ROWS, chat
from tests.recipe.conftest import task

Jsonl = Callable[[str, Iterable[Any]], str]
HELD = "def shelve(books): return {book.title: book for book in books}"


@pytest.fixture
def sets(jsonl: Jsonl) -> None:
    """Three data sets, a, b and c, with 100 rows in each of their splits."""
    for name in "abc":
        for split in ("train", "test"):
            jsonl(f"{name}/{split}.jsonl", [chat(f"{name} {split} {number}") for number in range(100)])


@pytest.fixture
def own_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A text of ours in the place of HumanEval's."""
    named = {humaneval_table.normalise(HELD).encode(): "the solution of Shelves/1"}
    (tmp_path / "table.json").write_text(json.dumps({"strings": humaneval_table.rows(named)}))
    monkeypatch.setattr(humaneval, "TABLE", tmp_path / "table.json")
    humaneval.strings.cache_clear()
    yield
    humaneval.strings.cache_clear()


def built(text: str, name: str = "sft", kinds: tuple[str, ...] = ROWS) -> Build:
    Path("recipe.yaml").write_text(f"model_name_or_path: m\n{text}")
    return build(load(["recipe.yaml"], task(name)).mixture, kinds)


def rows(made: Build, name: str = "train") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pa.ipc.open_stream(str(made.folder / f"{name}.arrow")).read_all().to_pylist()
    return found


def questions(made: Build, name: str = "train") -> list[str]:
    return [row["messages"][0]["content"] for row in rows(made, name)]


# -- how many rows: the arithmetic of the Handbook's own tests --------------------------------------------------------


@pytest.mark.parametrize(
    ("mixer", "train", "test"),
    [
        ("{a: 0.5, b: 0.3, c: 0.2}", 100, 300),
        ("{a: 1.0, b: 1.0, c: 1.0}", 300, 300),
        ("{a: 0.7, b: 0.4}", 110, 200),
        ("{a: 0.29}", 28, 100),  # int(0.29 * 100), in floating point
    ],
)
def test_a_mixer_takes_fractions_to_train_on_and_test_splits_whole(
    sets: None, mixer: str, train: int, test: int
) -> None:
    made = built(f"dataset_mixer: {mixer}\n")

    assert (made.num_train, made.num_eval) == (train, test)


def test_a_mixer_takes_first_rows() -> None:
    Path("a").mkdir()
    Path("a/train.jsonl").write_text("".join(json.dumps(chat(str(number))) + "\n" for number in range(10)))

    made = built("dataset_mixer: {a: 0.5}\ndataset_splits: [train]\n")

    assert sorted(questions(made)) == ["0", "1", "2", "3", "4"]
    assert questions(made) != ["0", "1", "2", "3", "4"]


def test_a_mixer_s_order_does_not_follow_the_seed_of_training(sets: None) -> None:
    assert questions(built("dataset_mixer: {a: 1}\n")) == questions(built("dataset_mixer: {a: 1}\nseed: 7\n"))


@pytest.mark.parametrize("fraction", ["-0.3", "1.5"])
def test_a_fraction_that_is_no_share_is_refused_with_the_reason(fraction: str) -> None:
    with pytest.raises(RecipeError) as caught:
        built(f"dataset_mixer: {{a: 0.7, b: {fraction}}}\n")

    (problem,) = caught.value.problems
    assert "a share of the data set's rows, from 0 to 1" in problem.message
    assert "no version of the Handbook repeats rows" in problem.hint


def test_a_mixer_without_a_training_split_says_so() -> None:
    with pytest.raises(RecipeError) as caught:
        built("dataset_mixer: {a: 1}\ndataset_splits: [test]\n")

    assert "no split to train on" in caught.value.problems[0].message


def test_a_test_split_that_is_not_there_is_named(jsonl: Jsonl) -> None:
    jsonl("a/train.jsonl", [chat("q")])

    with pytest.raises(DataError) as caught:
        built("dataset_mixer: {a: 1}\n")

    assert 'there is no split "test"' in caught.value.problems[0].message


@pytest.mark.parametrize(
    ("weights", "size", "train", "test"),
    [
        ((0.5, 0.3, 0.2), 0.1, 90, 10),
        ((0.5, 0.3, 0.2), None, 100, 0),
        ((1, 1, 1), 0.1, 270, 30),
        ((0.7, 0.4), 0.1, 99, 11),
        ((0.7, 0.4), 11, 99, 11),
        ((None, 0.001), None, 100, 0),
    ],
)
def test_a_mixture_of_2025_takes_weights_and_splits_what_it_took(
    sets: None, weights: tuple[float | None, ...], size: float | int | None, train: int, test: int
) -> None:
    entries = [{"id": name, "weight": weight} for name, weight in zip("abc", weights, strict=False)]

    made = built(f"dataset_mixture: {json.dumps({'datasets': entries, 'test_split_size': size})}\n")

    assert (made.num_train, made.num_eval) == (train, test)


# -- columns ----------------------------------------------------------------------------------------------------------


def test_preferences_of_2025_leave_their_messages_out(jsonl: Jsonl) -> None:
    turns = [chat("q", answer)["messages"] for answer in ("good", "bad")]
    row = {"prompt": "q", "messages": turns[0], "chosen": turns[0], "rejected": turns[1], "score": 3}
    jsonl("a/train.jsonl", [row])

    made = built("dataset_mixture: {datasets: [{id: a}]}\n", "dpo", ("preference",))

    (found,) = rows(made)
    assert [found[side][0]["content"] for side in ("prompt", "chosen", "rejected")] == ["q", "good", "bad"]
    assert "messages" not in found


def test_template_arguments_of_a_row_come_along_when_its_columns_say_so(jsonl: Jsonl) -> None:
    jsonl("a/train.jsonl", [{**chat("q"), "chat_template_kwargs": {"enable_thinking": False}, "source": "x"}])

    made = built("dataset_mixture: {datasets: [{id: a, columns: [messages, chat_template_kwargs]}]}\n")
    without = built("dataset_mixture: {datasets: [{id: a, columns: [messages]}]}\n")

    assert json.loads(rows(made)[0]["chat_template_kwargs"]) == {"enable_thinking": False}
    assert "chat_template_kwargs" not in rows(without)[0]


def test_a_mixer_of_2023_knows_no_template_arguments(jsonl: Jsonl) -> None:
    jsonl("a/train.jsonl", [{**chat("q"), "chat_template_kwargs": {"enable_thinking": False}}])

    made = built("dataset_mixer: {a: 1}\ndataset_splits: [train]\n")

    assert "chat_template_kwargs" not in rows(made)[0]


def test_turns_without_role_or_content_are_no_conversation(jsonl: Jsonl) -> None:
    jsonl("a/train.jsonl", [chat("q"), {"messages": [{"role": "user"}]}, {"messages": [{"content": "a"}]}])

    with pytest.raises(DataError, match="2 of 3 rows cannot be trained on"):
        built("dataset_mixer: {a: 1}\ndataset_splits: [train]\n")


# -- HumanEval --------------------------------------------------------------------------------------------------------


def test_rows_that_hold_a_text_of_humaneval_leave_both_splits_after_the_choice(jsonl: Jsonl, own_table: None) -> None:
    some = [chat(f"q{number}") for number in range(10)]
    some[2] = chat("shelve them", f"Like this:\n\n{HELD.replace(' ', '  ').upper()}")
    some[7] = chat(HELD)
    for split in ("train", "test"):
        jsonl(f"a/{split}.jsonl", some)
    text = "dataset_mixer: {a: 0.5}\n"
    whole = built(text + "mixture: {clean: {decontaminate_humaneval: false}}\n")

    made = built(text)

    assert sorted(questions(made)) == ["q0", "q1", "q3", "q4"]  # no row comes up from behind the first half
    assert questions(made) == [question for question in questions(whole) if question != "shelve them"]
    assert len(questions(made, "eval")) == 8
    assert made.report["cleaned"]["steps"] == {"humaneval": 4}  # among all rows of the two sources
    assert made.report["sources"][0]["dropped"] == {"humaneval": 2}
    assert made.report["cleaned"]["examples"][0] == {
        "step": "humaneval",
        "where": "a/train.jsonl:3",
        "why": "holds the solution of Shelves/1",
    }
    assert made.digest != whole.digest


def test_a_preference_leaves_when_its_chosen_answer_holds_such_a_text(jsonl: Jsonl, own_table: None) -> None:
    def pair(question: str, chosen: str, rejected: str) -> dict[str, Any]:
        return {"chosen": chat(question, chosen)["messages"], "rejected": chat(question, rejected)["messages"]}

    jsonl("a/train.jsonl", [pair("1", HELD, "no"), pair("2", "yes", HELD), pair(f"3 {HELD}", "yes", "no")])

    for name in ("dpo", "orpo"):
        made = built("dataset_mixer: {a: 1}\ndataset_splits: [train]\n", name, ("preference",))
        assert sorted(row["prompt"][0]["content"][0] for row in rows(made)) == ["2", "3"]


def test_plain_text_to_go_on_with_stays_as_it_is(jsonl: Jsonl, own_table: None) -> None:
    jsonl("a/train.jsonl", [{"text": HELD}, {"text": "other"}])

    assert built("dataset_mixer: {a: 1}\ndataset_splits: [train]\n", "cpt", ("text",)).num_train == 2


def test_other_texts_to_look_for_make_another_mixture(jsonl: Jsonl, own_table: None) -> None:
    jsonl("a/train.jsonl", [chat("q")])
    text = "dataset_mixer: {a: 1}\ndataset_splits: [train]\n"
    first = built(text)
    humaneval.TABLE.write_text(humaneval.TABLE.read_text() + "\n")

    assert built(text).digest != first.digest
