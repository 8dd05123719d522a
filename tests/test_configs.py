"""Every shipped recipe is right as it stands, and the shipped data are what the recipes say they are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from align_cli import registry
from align_cli.cli import app
from align_cli.recipe import load, shipped

CONFIGS = Path(__file__).parents[1] / "configs"
DATA = CONFIGS / "data"
RECIPES = sorted(path.relative_to(CONFIGS / "recipes").as_posix() for path in (CONFIGS / "recipes").rglob("*.yaml"))


def conversations() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / "ask-align.jsonl").read_text(encoding="utf-8").splitlines()]


def questions() -> list[str]:
    found: list[str] = json.loads((DATA / "ask-align-questions.json").read_text(encoding="utf-8"))
    return found


def test_the_walk_finds_the_recipes() -> None:
    assert len(RECIPES) >= 28


def test_shipped_names_are_the_recipes_without_their_extension() -> None:
    assert sorted(shipped.names()) == [recipe.removesuffix(".yaml") for recipe in RECIPES]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_shipped_recipe_loads_by_name(recipe: str) -> None:
    task = registry.get(registry.TASKS, recipe.split("/")[1])

    loaded = load.load([recipe.removesuffix(".yaml")], task)

    assert loaded.profile == "align"
    assert loaded.mixture.sources


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_shipped_recipe_needs_no_translation(recipe: str) -> None:
    task = registry.get(registry.TASKS, recipe.split("/")[1])

    loaded = load.load([str(CONFIGS / "recipes" / recipe)], task)

    assert [str(note) for note in loaded.notes] == []


def test_every_model_folder_says_what_its_recipes_are() -> None:
    for recipe in RECIPES:
        name = recipe.removesuffix(".yaml")
        readme = CONFIGS / "recipes" / recipe.split("/")[0] / "README.md"

        assert f"`{name}`" in readme.read_text(encoding="utf-8")


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_shipped_recipe_can_be_planned_anywhere(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    code = app.run(["train", recipe.split("/")[1], recipe.removesuffix(".yaml"), "--dry-run", "--json"])

    view = json.loads(capsys.readouterr().out)
    assert (code, list(tmp_path.iterdir())) == (0, [])
    assert view["recipe"]["values"]["output_dir"]["value"].startswith("runs/")


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_copy_of_a_shipped_recipe_is_whole(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    task = registry.get(registry.TASKS, recipe.split("/")[1])

    code = app.run(["recipe", "cp", recipe.removesuffix(".yaml"), "mine.yaml"])

    copied, original = load.load(["mine.yaml"], task), load.load([recipe.removesuffix(".yaml")], task)
    assert (code, capsys.readouterr().out.strip()) == (0, "mine.yaml")
    assert (copied.values, copied.mixture) == (original.values, original.mixture)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_shipped_recipe_measures_on_other_rows_than_it_trains_on(recipe: str) -> None:
    task = registry.get(registry.TASKS, recipe.split("/")[1])

    mixture = load.load([recipe.removesuffix(".yaml")], task).mixture

    assert not [source for source in mixture.sources if (source.split or "").startswith("test")]
    assert not [source for source in mixture.eval if (source.split or "").startswith("train")]


BATCHES = re.compile(r"^\| (`[^|]+`|both) \| (\d+) × (\d+) × (\d+) = (\d+) (?:\|| \| )([^|]*)", re.MULTILINE)


def batches() -> list[tuple[str, tuple[int, ...], str]]:
    """(recipe, GPUs and batch and accumulation and their product, what the README says for one GPU)."""
    found = []
    for readme in sorted((CONFIGS / "recipes").glob("*/README.md")):
        for names, *numbers, one in BATCHES.findall(readme.read_text(encoding="utf-8")):
            model = readme.parent.name
            own = [name.removesuffix(".yaml") for name in RECIPES if name.startswith(f"{model}/")]
            short = own if names == "both" else [f"{model}/{name}" for name in re.findall(r"`([^`]+)`", names)]
            found += [(name, tuple(int(number) for number in numbers), one.strip()) for name in short]
    return found


def test_the_walk_finds_the_batches() -> None:
    assert len(batches()) >= 24


@pytest.mark.parametrize(("recipe", "numbers", "one"), batches())
def test_the_sequences_per_step_in_a_readme_are_the_recipe_s(recipe: str, numbers: tuple[int, ...], one: str) -> None:
    loaded = load.load([recipe], registry.get(registry.TASKS, recipe.split("/")[1]))
    gpus, batch, accumulation, total = numbers

    assert (batch, accumulation) == (
        loaded.values["per_device_train_batch_size"],
        loaded.values["gradient_accumulation_steps"],
    )
    assert gpus * batch * accumulation == total
    if more := re.search(r"gradient_accumulation_steps=(\d+)", one):
        assert int(more[1]) * batch == total


def test_the_page_on_handbook_recipes_names_what_is_shipped_for_each() -> None:
    page = (CONFIGS.parent / "docs" / "how-to" / "use-handbook-recipes.md").read_text(encoding="utf-8")
    table = page[page.index("| shipped as |") : page.index("```bash\nalign recipe cp")]
    named = re.findall(r"`([\w.-]+/\w+/[\w-]+)`", table)

    assert sorted(named) == [name for name in shipped.names() if not name.startswith("smollm2-135m/")]


def test_every_conversation_alternates_and_ends_with_the_assistant() -> None:
    rows = conversations()

    assert 150 <= len(rows) <= 300
    for row in rows:
        assert list(row) == ["messages"]
        assert [message["role"] for message in row["messages"]] == ["user", "assistant"] * (len(row["messages"]) // 2)
        assert all(message["content"].strip() == message["content"] != "" for message in row["messages"])


def test_many_conversations_have_several_turns() -> None:
    rows = conversations()

    assert sum(len(row["messages"]) > 2 for row in rows) >= len(rows) / 2


def test_no_conversation_stands_twice() -> None:
    texts = [json.dumps(row) for row in conversations()]

    assert len(set(texts)) == len(texts)


def test_the_questions_asked_before_and_after_are_not_trained_on() -> None:
    asked = {message["content"] for row in conversations() for message in row["messages"]}

    assert 5 <= len(questions()) <= 6
    assert asked.isdisjoint(questions())


def test_the_readme_counts_the_conversations_right() -> None:
    text = (DATA / "README.md").read_text(encoding="utf-8")

    assert f"holds {len(conversations())} short conversations" in text


def rows_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def test_every_pair_has_two_different_answers_to_one_question_of_its_own() -> None:
    rows = rows_of("ask-align-preferences.jsonl")

    assert len({json.dumps(row["prompt"]) for row in rows}) == len(rows) == 104
    for row in rows:
        roles = [turn["role"] for turn in row["prompt"]]
        assert roles == (["user", "assistant"] * len(roles))[: len(roles)]
        assert roles[-1] == "user"
        answers = [row[side][0]["content"] for side in ("chosen", "rejected")]
        assert [turn["role"] for side in ("chosen", "rejected") for turn in row[side]] == ["assistant", "assistant"]
        assert answers[0] != answers[1]
        assert all(answer.strip() == answer != "" for answer in answers)


def test_the_better_answer_is_not_known_by_its_length() -> None:
    rows = rows_of("ask-align-preferences.jsonl")

    longer = sum(len(row["rejected"][0]["content"]) > len(row["chosen"][0]["content"]) for row in rows)

    assert 0.3 < longer / len(rows) < 0.7


def test_judged_answers_follow_from_the_pairs_by_the_rule_in_the_readme() -> None:
    expected = []
    for number, row in enumerate(rows_of("ask-align-preferences.jsonl")):
        expected.append({"prompt": row["prompt"], "completion": row["chosen"], "label": True})
        if number % 2 == 0:
            expected.append({"prompt": row["prompt"], "completion": row["rejected"], "label": False})

    assert rows_of("ask-align-judged.jsonl") == expected


def test_the_readme_describes_the_data_as_they_are() -> None:
    text = (DATA / "README.md").read_text(encoding="utf-8")
    pairs = rows_of("ask-align-preferences.jsonl")
    faults = [row["fault"] for row in pairs]
    paragraphs = (DATA / "notes-on-fine-tuning.txt").read_text(encoding="utf-8").split("\n\n")

    for file in sorted(DATA.iterdir()):
        assert file.name == "README.md" or f"| `{file.name}` |" in text
    for fault in ("wrong", "evasive", "overlong"):
        assert re.search(rf"`{fault}` \({faults.count(fault)}\)", text)
    assert f"{len(rows_of('ask-align-judged.jsonl'))} judged answers" in text
    assert f"{len(paragraphs)} paragraphs" in text


def test_the_questions_asked_before_and_after_are_in_none_of_the_data() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in DATA.iterdir() if file.suffix in (".jsonl", ".txt"))

    assert [question for question in questions() if question in text] == []


def test_torch_is_pinned_exactly() -> None:
    pins = (CONFIGS / "constraints.txt").read_text(encoding="utf-8").splitlines()

    assert "torch==2.13.0" in pins
    assert all("==" in pin and "+" not in pin for pin in pins if not pin.startswith("#"))
