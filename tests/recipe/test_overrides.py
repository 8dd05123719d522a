from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli.recipe.fields import Field, fields_of
from align_cli.recipe.overrides import Words, split_words
from tests.recipe.conftest import task

ALSO = {"mixture", "dataset_mixer", "torch_dtype", "warmup_ratio"}


@pytest.fixture(scope="module")
def fields() -> dict[str, Field]:
    return fields_of(task().configs)


def split(fields: dict[str, Field], *words: str) -> Words:
    return split_words(words, fields, ALSO)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["learning_rate=5e-7"], "learning_rate=5e-7"),
        (["--learning_rate=5e-7"], "learning_rate=5e-7"),
        (["--learning_rate", "5e-7"], "learning_rate=5e-7"),
        (["--learning-rate", "5e-7"], "learning_rate=5e-7"),
        (["learning-rate=5e-7"], "learning_rate=5e-7"),
        (["--packing"], "packing=true"),
        (["--packing", "false"], "packing=false"),
        (["--bf16"], "bf16=true"),
        (["--no_packing"], "packing=false"),
        (["--no-packing"], "packing=false"),
        (["--no_gradient_checkpointing"], "gradient_checkpointing=false"),
        (["--max_steps", "-1"], "max_steps=-1"),
        (["model_name_or_path=a=b=c"], "model_name_or_path=a=b=c"),
        (["mixture.sources.0.fraction=0.5"], "mixture.sources.0.fraction=0.5"),
        (["--mixture.sources.0.path", "a/b.jsonl"], "mixture.sources.0.path=a/b.jsonl"),
        (["--torch_dtype", "float16"], "torch_dtype=float16"),
        (["dataset_mixer.org/name=0.3"], "dataset_mixer.org/name=0.3"),
        (["run_name="], "run_name="),
    ],
)
def test_every_spelling_is_understood(fields: dict[str, Field], words: list[str], expected: str) -> None:
    found = split(fields, "recipe.yml", *words)

    assert not found.problems
    assert found.recipe == "recipe.yml"
    assert [str(item) for item in found.overrides] == [expected]
    assert found.overrides[0].words == " ".join(words)


@pytest.mark.parametrize("words", [["r.txt"], ["--config", "r.txt"], ["--config=r.txt"], ["-config=r.txt"]])
def test_the_recipe_may_have_any_extension(fields: dict[str, Field], words: list[str]) -> None:
    assert split(fields, "--packing", *words).recipe == "r.txt"


def test_a_flag_does_not_swallow_the_recipe(fields: dict[str, Field]) -> None:
    found = split(fields, "--packing", "r.yaml", "--bf16", "seed=3")

    assert found.recipe == "r.yaml"
    assert [str(item) for item in found.overrides] == ["packing=true", "bf16=true", "seed=3"]


def test_a_prefix_is_not_expanded(fields: dict[str, Field]) -> None:
    assert split(fields, "--learning_rat", "1").overrides[0].key == "learning_rat"


def test_an_unknown_option_does_not_swallow_the_recipe(fields: dict[str, Field]) -> None:
    found = split(fields, "--nonsense", "r.yaml")

    assert found.recipe == "r.yaml"
    assert found.overrides[0].key == "nonsense"


def test_a_file_with_an_equals_sign_is_a_recipe(
    fields: dict[str, Field], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b.yaml").write_text("")

    assert split(fields, "a=b.yaml").recipe == "a=b.yaml"


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (["a.yaml", "b.yaml"], "a second recipe beside a.yaml", "key=value"),
        (["a.yaml", "seed", "3"], "a second recipe", "seed=VALUE"),
        (["--seed"], "needs a value", "--seed=VALUE"),
        (["--seed", "--packing"], "needs a value", "--seed=VALUE"),
        (["--config"], "needs a file", ""),
        (["a..b=1"], "an empty part", ""),
    ],
)
def test_what_cannot_be_split_is_said(fields: dict[str, Field], words: list[str], said: str, hint: str) -> None:
    problem = split(fields, *words).problems[0]

    assert said in problem.message
    assert hint in problem.hint


@given(value=st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_a_value_survives_every_spelling(value: str) -> None:
    known = {"run_name": Field("run_name", "str | None", None, True, "", (), "", "")}
    for words in (["run_name=" + value], ["--run_name=" + value], ["--run-name=" + value]):
        found = split_words(words, known)
        assert [item.text for item in found.overrides] == [value]
