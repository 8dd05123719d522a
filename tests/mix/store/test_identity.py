from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli.mix.store import identity
from align_cli.recipe.schema import Clean, Mixture, Source

FILE = {"files": [{"name": "a.jsonl", "bytes": 3, "sha256": "a" * 64}]}
OTHER = {"files": [{"name": "a.jsonl", "bytes": 3, "sha256": "b" * 64}]}
PLAIN = Mixture(sources=(Source(path="a.jsonl"),))

#: A value other than the default for every parameter; a new parameter has to be added here.
SOURCE: Mapping[str, Any] = {
    "config": "c",
    "split": "test",
    "layout": "sharegpt",
    "columns": {"messages": "dialogue"},
    "keep_columns": ("messages",),
    "where": "score > 1",
    "fraction": 0.5,
    "rows": 3,
    "tokens": 3,
    "share": 0.5,
    "repeat": 2.0,
    "shuffle": False,
    "held_out": 3,
    "system": "Be kind.",
    "streaming": True,
}
CLEAN: Mapping[str, Any] = {
    "repair": True,
    "exact": True,
    "near": 0.9,
    "across": False,
    "ngram": 8,
    "decontaminate_humaneval": True,
    "min_turns": 1,
    "max_turns": 9,
    "min_characters": 1,
    "max_characters": 9,
    "languages": ("en",),
}
MIXTURE: Mapping[str, Any] = {
    "held_out": 0.1,
    "seed": 7,
    "combine": "trl",
    "rows": 9,
    "tokens": 9,
    "temperature": 2.0,
    "oversample": True,
    "order": "interleaved",
    "on_bad_rows": "skip",
}


def digest(mixture: Mixture = PLAIN, *identities: Mapping[str, Any], **more: Any) -> str:
    return identity.digest_of_inputs(identity.inputs(mixture, ("messages",), identities or (FILE,), **more))


def test_every_field_of_the_recipe_is_either_cosmetic_or_tested_here() -> None:
    names = {kind: {field.name for field in fields(kind)} for kind in (Source, Mixture, Clean)}

    assert names[Source] - set(SOURCE) == {"path", "name", "revision", "data_files"}
    assert names[Mixture] - set(MIXTURE) == {"sources", "eval", "clean"}
    assert names[Clean] - set(CLEAN) == {"decontaminate"}


@pytest.mark.parametrize("name", SOURCE)
def test_every_parameter_of_a_source_counts(name: str) -> None:
    assert digest(replace(PLAIN, sources=(Source(path="a.jsonl", **{name: SOURCE[name]}),))) != digest()


@pytest.mark.parametrize("name", CLEAN)
def test_every_parameter_of_cleaning_counts(name: str) -> None:
    assert digest(replace(PLAIN, clean=Clean(**{name: CLEAN[name]}))) != digest()


@pytest.mark.parametrize("name", MIXTURE)
def test_every_parameter_of_the_mixture_counts(name: str) -> None:
    assert digest(replace(PLAIN, **{name: MIXTURE[name]})) != digest()


def test_content_kinds_measure_references_and_code_count(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        digest(),
        digest(PLAIN, OTHER),
        identity.digest_of_inputs(identity.inputs(PLAIN, ("text",), (FILE,))),
        digest(measure="a"),
        digest(measure="b"),
        digest(references={"references": {"mt_bench": "a"}}),
        digest(references={"references": {"mt_bench": "b"}}),
        digest(references={"near": "rensa 1"}),
        digest(references={"near": "rensa 2"}),
    }
    monkeypatch.setattr(identity, "CODE_VERSION", identity.CODE_VERSION + 1)

    assert len(found | {digest()}) == 10


def test_paths_names_revisions_and_the_order_of_keys_do_not_count() -> None:
    one = Source(path="a.jsonl", columns={"prompt": "q", "completion": "a"})
    two = Source(path="/b/c.jsonl", name="mine", revision="v2", columns={"completion": "a", "prompt": "q"})
    renamed = {"files": [{"name": "c.jsonl", "bytes": 3, "sha256": "a" * 64}]}

    assert digest(replace(PLAIN, sources=(one,))) == digest(replace(PLAIN, sources=(two,)), renamed)


def test_what_a_reference_is_called_and_which_comes_first_does_not_count() -> None:
    one, two = ({"references": texts} for texts in ({"x": "a", "y": "b"}, {"v": "b", "w": "a"}))

    assert digest(references=one) == digest(references=two)


def test_one_as_a_whole_number_and_as_a_fraction_is_one_number() -> None:
    whole, broken = (replace(PLAIN, sources=(Source(path="a", fraction=value),)) for value in (1, 1.0))

    assert digest(whole) == digest(broken)


def test_a_parameter_at_its_default_is_left_out_so_that_a_new_one_changes_no_old_digest() -> None:
    inputs = identity.inputs(PLAIN, ("messages",), (FILE,))

    assert inputs["digest_of"] == {
        "code": identity.CODE_VERSION,
        "kinds": ["messages"],
        "parameters": {},
        "sources": [{"content": {"files": [[3, "a" * 64]]}, "parameters": {}}],
        "eval": [],
    }


def test_a_source_to_train_on_is_not_one_to_evaluate_on() -> None:
    trained = Mixture(sources=(Source(path="a"), Source(path="b")))
    evaluated = Mixture(sources=(Source(path="a"),), eval=(Source(path="b"),))

    assert digest(trained, FILE, OTHER) != digest(evaluated, FILE, OTHER)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "fraction": st.floats(0, 1),
            "rows": st.integers(0, 9),
            "columns": st.dictionaries(st.text(), st.text()),
            "keep_columns": st.lists(st.text()).map(tuple),
            "system": st.text(),
        },
    )
)
def test_the_document_survives_json_and_keeps_its_digest(values: dict[str, Any]) -> None:
    mixture = replace(PLAIN, sources=(Source(path="a", **values),))
    inputs = identity.inputs(mixture, ("messages",), (FILE,))

    read = json.loads(json.dumps(inputs))

    assert read == inputs
    assert identity.digest_of_inputs(read) == identity.digest_of_inputs(inputs)


def test_all_rows_once_is_the_same_however_it_is_spelt() -> None:
    whole = Mixture(sources=(Source(path="a.jsonl", fraction=1.0, repeat=1),))

    assert digest(whole) == digest()
    assert digest(replace(whole, combine="handbook-2025")) != digest(replace(PLAIN, combine="handbook-2025"))
