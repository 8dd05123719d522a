from __future__ import annotations

from align_cli.recipe.schema import Recipe
from align_cli.runs.reading.compare import compare
from align_cli.runs.reading.record import Record
from tests.runs import folders


def sides(tmp_path, **of_b):
    a = folders.finished(tmp_path / "a")
    return Record(a), Record(folders.finished(tmp_path / "b", **of_b))


def keys(entries):
    return [entry["key"] for entry in entries]


def test_the_same_recipe_twice_differs_in_nothing_but_its_place(tmp_path):
    found = compare(*sides(tmp_path))

    assert found["same"] is True
    assert found["recipe"] == found["data"] == found["sources"] == found["model"] == found["versions"] == []


def test_a_changed_value_is_shown_with_where_each_side_has_it_from(tmp_path):
    found = compare(*sides(tmp_path, num_train_epochs=1.0))

    assert found["same"] is False
    assert found["recipe"] == [
        {
            "key": "num_train_epochs",
            "a": 3.0,
            "b": 1.0,
            "a_from": "default",
            "b_from": "r.yaml:4",
            "free": False,
        }
    ]


def test_a_key_that_changes_no_step_leaves_the_runs_the_same(tmp_path):
    found = compare(*sides(tmp_path, logging_steps=7))

    assert [entry["free"] for entry in found["recipe"]] == [True]
    assert found["same"] is True


def test_a_value_equal_to_the_default_is_no_difference(tmp_path):
    assert compare(*sides(tmp_path, seed=42))["recipe"] == []


def test_other_rows_of_a_source_are_seen(tmp_path):
    found = compare(*sides(tmp_path, report=folders.report(rows=50)))

    assert keys(found["sources"]) == ["chat"]
    assert (found["sources"][0]["a"]["kept"], found["sources"][0]["b"]["kept"]) == (60, 50)
    assert keys(found["data"]) == ["rows.train"]
    assert found["same"] is False


def test_a_source_of_one_run_only_is_seen(tmp_path):
    found = compare(*sides(tmp_path, report=folders.report(label="math")))

    assert [(entry["key"], entry["a"] is None, entry["b"] is None) for entry in found["sources"]] == [
        ("chat", False, True),
        ("math", True, False),
    ]


def test_profiles_and_tasks_that_differ_are_seen(tmp_path):
    found = compare(*sides(tmp_path, profile="handbook-2023", task="dpo"))

    assert found["profile"] == [{"key": "profile", "a": "align", "b": "handbook-2023"}]
    assert (found["a"]["task"], found["b"]["task"]) == ("sft", "dpo")
    losses = {entry["metric"]: entry for entry in found["results"]}["train_loss"]
    assert (losses["difference"], losses["relative"]) == (0, None)  # two losses that measure different things
    assert found["same"] is False


def test_results_stand_side_by_side_with_their_difference(tmp_path):
    found = compare(*sides(tmp_path, metrics={"train_loss": 1.0, "eval_loss": 1.5, "train_runtime": 99.0}))

    results = {entry["metric"]: entry for entry in found["results"]}
    assert results["train_loss"] == {
        "metric": "train_loss",
        "a": 2.0,
        "b": 1.0,
        "difference": -1.0,
        "relative": -0.5,
    }
    assert results["eval_loss"]["difference"] == 0
    assert "train_runtime" not in results
    assert list(results)[:2] == ["train_loss", "eval_loss"]


def test_an_unfinished_run_is_compared_by_what_it_has_logged(tmp_path):
    a = folders.finished(tmp_path / "a")
    b = folders.prepared(tmp_path / "b", lines=folders.falling(steps=10))

    found = compare(Record(a), Record(b))

    assert found["b"]["status"] == "interrupted"
    assert found["same"] is True
    assert found["versions"] == found["host"] == found["model"] == found["time"] == []
    assert keys(found["steps"]) == ["done"]
    results = {entry["metric"]: entry for entry in found["results"]}
    assert results["train_loss"]["difference"] is None
    assert results["eval_loss"]["b"] == 1.0


def test_a_damaged_recipe_is_said_and_the_rest_is_compared(tmp_path):
    a, b = sides(tmp_path)
    (b.path / "align" / "recipe.json").chmod(0o644)
    (b.path / "align" / "recipe.json").write_text("{")

    found = compare(a, b)

    assert found["same"] is False
    assert len(found["problems"]) == 1
    assert found["results"]


def test_a_mixture_with_other_words_is_seen(tmp_path, monkeypatch):
    a, b = sides(tmp_path)
    recipe = b.recipe
    assert isinstance(recipe, Recipe)
    document = b.document | {"mixture": {**b.document["mixture"], "seed": 7}}
    b.__dict__.pop("recipe")
    b.__dict__["document"] = document

    assert compare(a, b)["mixture"] == [{"key": "mixture.seed", "a": 42, "b": 7}]
