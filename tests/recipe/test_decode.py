from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from align_cli.recipe.decode import WrongType, decode, encode, typed
from align_cli.recipe.fields import Field
from align_cli.recipe.schema import Clean, Launch, Mixture, Note, Origin, Recipe, Source


def field(annotation: str, choices: tuple[str, ...] = (), name: str = "key") -> Field:
    return Field(name, annotation, None, True, "", choices, "", "")


@pytest.mark.parametrize(
    ("annotation", "given_", "expected"),
    [
        ("float", "5e-7", 5e-7),
        ("float", "1", 1),
        ("float", 3, 3),
        ("int", "1_000", 1000),
        ("int", 2e3, 2000),
        ("int", "2e3", 2000),
        ("bool", "yes", True),
        ("bool", "False", False),
        ("bool | None", "null", None),
        ("bool", 1, True),
        ("str", "no", "no"),
        ("str", "a,b", "a,b"),
        ("str | None", "None", None),
        ("str | None", "{% x %}", "{% x %}"),
        ("list[str]", "a, b", ["a", "b"]),
        ("list[str]", '["a","b"]', ["a", "b"]),
        ("list[str] | None", "all-linear", ["all-linear"]),
        ("list[float] | None", "0.5,1", [0.5, 1]),
        ("None | str | list[str]", "wandb,tensorboard", ["wandb", "tensorboard"]),
        ("None | str | list[str]", "wandb", "wandb"),
        ("None | str | list[str]", r"layers\.(0|1),x", r"layers\.(0|1),x"),
        ("dict | str | None", '{"a": 1}', {"a": 1}),
        ("dict[str, Any] | str | None", "{a: 1}", {"a": 1}),
        ("dict | str | None", "zero3.json", "zero3.json"),
        ("int | str | None", "auto", "auto"),
        ("int | str | None", "64", 64),
        ("Optional[int]", "7", 7),
        ("Union[str, list[str]]", ["x"], ["x"]),
        ("ParallelismConfig | None", {"tp": 2}, {"tp": 2}),
    ],
)
def test_a_value_is_typed_by_its_field(annotation: str, given_: Any, expected: Any) -> None:
    result = typed(field(annotation), given_)

    assert result == expected
    assert type(result) is type(expected)


def test_an_unquoted_no_is_a_strategy() -> None:
    strategy = field("IntervalStrategy | str", ("no", "steps", "epoch"))

    assert typed(strategy, False, "no") == "no"
    assert typed(strategy, "STEPS") == "steps"


def test_text_is_taken_as_it_was_written() -> None:
    assert typed(field("str"), 7, "007") == "007"
    assert typed(field("str | None"), False, "no") == "no"


def test_some_text_fields_have_a_meaning_for_true() -> None:
    assert typed(field("str | None", name="resume_from_checkpoint"), "true") is True
    assert typed(field("str | None", name="fsdp"), True) is True


@pytest.mark.parametrize(
    ("annotation", "given_", "said"),
    [
        ("float", "many", 'a number, not "many"'),
        ("int", 1.5, "a whole number, not 1.5"),
        ("int", True, "a whole number, not true"),
        ("bool", "maybe", "true or false"),
        ("float", float("nan"), "finite"),
        ("str", {"a": 1}, "text, not a mapping"),
        ("int", None, "not null"),
        ("dict | None", [1, 2], "a mapping or null, not a list"),
        ("list[float]", "a,b", "numbers"),
        ("dict | None", "{a: [}", "JSON"),
        ("float", [0.1], "a number, not a list"),
        ("str", ["only"], "text, not a list"),
        ("list[str] | None", 5, "a list or null, not 5"),
        ("None | str | list[str]", 5, "text or a list or null, not 5"),
        ("dict | str | None", 3, "text or a mapping or null, not 3"),
        ("dict | str | None", True, "text or a mapping or null, not true"),
    ],
)
def test_what_does_not_fit_says_what_was_expected(annotation: str, given_: Any, said: str) -> None:
    with pytest.raises(WrongType) as caught:
        typed(field(annotation), given_)

    assert said in str(caught.value)


@pytest.mark.parametrize("value", [3, "3", "x", True, ["a"]])
def test_arguments_of_a_call_are_a_mapping(value: Any) -> None:
    arguments = field("dict[str, Any] | str | None", name="model_init_kwargs")

    assert typed(arguments, '{"a": 1}') == {"a": 1}
    with pytest.raises(WrongType, match="a mapping or null, not"):
        typed(arguments, value)


def test_a_wrong_choice_suggests_the_near_one() -> None:
    with pytest.raises(WrongType, match="did you mean adamw_torch"):
        typed(field("OptimizerNames | str", ("adamw_torch", "sgd")), "adamw")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.dictionaries(st.integers(), inner),
    max_leaves=8,
)
SOURCES = st.builds(
    Source,
    path=st.text(min_size=1),
    config=st.none() | st.text(),
    data_files=st.lists(st.text()).map(tuple),
    keep_columns=st.lists(st.text()).map(tuple),
    columns=st.dictionaries(st.text(), st.text()),
    fraction=st.none() | st.floats(0, 1),
    rows=st.none() | st.integers(),
    shuffle=st.none() | st.booleans(),
    where=st.none() | st.text(),
    share=st.none() | st.floats(0, 1),
    tokens=st.none() | st.integers(1),
    repeat=st.none() | st.floats(1, 9),
    held_out=st.none() | st.integers(0) | st.floats(0, 1),
    streaming=st.booleans(),
)
CLEAN = st.builds(
    Clean,
    exact=st.booleans(),
    near=st.none() | st.floats(0, 1),
    decontaminate=st.lists(st.text()).map(tuple),
    min_turns=st.none() | st.integers(1),
    languages=st.lists(st.text()).map(tuple),
)
RECIPES = st.builds(
    Recipe,
    task=st.text(),
    path=st.text(),
    text=st.text(),
    overrides=st.lists(st.text()).map(tuple),
    values=st.dictionaries(st.text(), JSON),
    defaults=st.dictionaries(st.text(), JSON),
    mixture=st.builds(
        Mixture,
        sources=st.lists(SOURCES, max_size=2).map(tuple),
        eval=st.lists(SOURCES, max_size=2).map(tuple),
        held_out=st.none() | st.integers() | st.floats(0, 1),
        combine=st.sampled_from(["native", "trl"]),
        order=st.sampled_from(["shuffled", "interleaved"]),
        temperature=st.none() | st.floats(0.1, 9),
        clean=CLEAN,
    ),
    launch=st.just(Launch()),
    profile=st.text(),
    behaviours=st.dictionaries(st.text(), JSON),
    env=st.dictionaries(st.sampled_from(["A", "WANDB_PROJECT"]), st.text()),
    origins=st.dictionaries(st.text(), st.builds(Origin, st.sampled_from(["file", "default"]), st.text())),
    notes=st.lists(st.builds(Note, st.text(), st.text(), st.text())).map(tuple),
)


@settings(max_examples=40)  # a recipe is large: drawing one costs more than the test
@given(recipe=RECIPES)
def test_a_recipe_survives_json(recipe: Recipe) -> None:
    text = json.dumps(encode(recipe))

    assert decode(json.loads(text)) == recipe


def test_markers_of_interpolation_are_only_text() -> None:
    values = {"a": "???", "b": "${x}", "c": "${oc.env:HOME}"}
    recipe = Recipe(
        task="sft", path="", text="", overrides=(), values=values, defaults={}, mixture=Mixture(), launch=Launch(),
        profile="align", behaviours={}, env={}, origins={}, notes=(),
    )  # fmt: skip

    assert decode(json.loads(json.dumps(encode(recipe)))).values == values


def test_secrets_are_left_out_and_found_again_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(
        task="sft", path="", text="", overrides=(), values={}, defaults={}, mixture=Mixture(), launch=Launch(),
        profile="align", behaviours={}, env={"HF_TOKEN": "very-secret"}, origins={}, notes=(),
    )  # fmt: skip

    text = json.dumps(encode(recipe))
    monkeypatch.setenv("HF_TOKEN", "very-secret")

    assert "very-secret" not in text
    assert decode(json.loads(text)) == recipe
