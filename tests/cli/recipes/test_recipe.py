from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import RECIPE, Align


def test_shipped_recipes_are_listed_and_each_checks(align: Align):
    rows = align("recipe", "ls", "--json").document
    names = [row["name"] for row in rows]

    done = align("recipe", "check", *names, "--json")

    assert "smollm2-135m/sft/quickstart" in names
    assert all(row["summary"] for row in rows)
    assert done.code == 0
    assert [row["problems"] for row in done.document] == [[]] * len(names)


def test_a_copy_is_the_same_file_and_checks(align: Align, tmp_path: Path):
    done = align("recipe", "cp", "smollm2-135m/sft/quickstart", "mine.yaml")

    assert done.code == 0
    assert done.out == "mine.yaml\n"
    assert align("recipe", "check", "mine.yaml", "--task", "sft").code == 0


def test_a_copy_replaces_a_file_only_when_told(align: Align, recipe: Path):
    refused = align("recipe", "cp", "smollm2-135m/sft/quickstart", "r.yaml")

    assert refused.code == 2
    assert recipe.read_text(encoding="utf-8") == RECIPE
    assert align("recipe", "cp", "smollm2-135m/sft/quickstart", "r.yaml", "--force").code == 0
    assert recipe.read_text(encoding="utf-8") != RECIPE


def test_a_copy_goes_into_a_folder(align: Align, tmp_path: Path):
    (tmp_path / "recipes").mkdir()

    align("recipe", "cp", "smollm2-135m/sft/quickstart", "recipes")

    assert (tmp_path / "recipes" / "quickstart.yaml").is_file()


def test_a_misspelt_name_is_suggested(align: Align):
    done = align("recipe", "cp", "smollm2-135m/sft/quickstat")

    assert done.code == 2
    assert "did you mean smollm2-135m/sft/quickstart?" in done.err


def test_show_prints_a_recipe_that_can_be_used_again(align: Align, recipe: Path, tmp_path: Path):
    first = align("recipe", "show", "r.yaml", "max_length=64", "--task", "sft")
    (tmp_path / "again.yaml").write_text(first.out, encoding="utf-8")

    once = align("recipe", "show", "r.yaml", "max_length=64", "--task", "sft", "--json").document
    again = align("recipe", "show", "again.yaml", "--task", "sft", "--json").document

    def plain(document):
        return {key: item["value"] for key, item in document["values"].items()}, document["mixture"]

    assert "learning_rate: 0.0001" in first.out
    assert "# r.yaml:7" in first.out
    assert plain(again) == plain(once)


def test_check_reports_every_file_and_fails_if_one_does(align: Align, recipe: Path, tmp_path: Path):
    (tmp_path / "bad.yaml").write_text("learning_rat: 1\nmax_length: x\n", encoding="utf-8")

    done = align("recipe", "check", "*.yaml", "--task", "sft")

    assert done.code == 2
    assert "bad.yaml:1: " in done.err
    assert "bad.yaml:2: " in done.err
    assert "r.yaml:" not in done.err
    assert "2 recipes checked, 1 with problems" in done.out


def test_check_takes_folders(align: Align, recipe: Path, tmp_path: Path):
    (tmp_path / "a" / "sft").mkdir(parents=True)
    recipe.rename(tmp_path / "a" / "sft" / "r.yaml")
    (tmp_path / "a" / "notes.txt").write_text("not a recipe", encoding="utf-8")

    done = align("recipe", "check", "a", "--json")

    assert done.code == 0
    assert [(row["path"], row["task"]) for row in done.document] == [("a/sft/r.yaml", "sft")]


def test_check_of_nothing_is_an_error(align: Align, tmp_path: Path):
    done = align("recipe", "check", "configs/**/*.yaml")

    assert done.code == 2
    assert "matches no recipe" in done.err


def test_check_asks_for_the_task_where_nothing_tells(align: Align, tmp_path: Path):
    (tmp_path / "r.yaml").write_text("seed: 1\n", encoding="utf-8")

    done = align("recipe", "check", "r.yaml")

    assert done.code == 2
    assert "--task" in done.err


def test_migrate_rewrites_old_words_and_keeps_comments(align: Align, tmp_path: Path):
    old = tmp_path / "old.yaml"
    old.write_text("# mine\ntorch_dtype: bfloat16  # small\nseed: 1\n", encoding="utf-8")

    shown = align("recipe", "migrate", "old.yaml", "--task", "sft")

    assert shown.code == 0
    assert shown.out == "# mine\ndtype: bfloat16  # small\nseed: 1\n"
    assert "torch_dtype" in shown.err
    assert old.read_text(encoding="utf-8").startswith("# mine\ntorch_dtype")
    assert align("recipe", "migrate", "old.yaml", "--task", "sft", "--write").code == 0
    assert old.read_text(encoding="utf-8") == shown.out
    assert align("recipe", "migrate", "old.yaml", "--task", "sft", "--diff").out == ""
