"""Whatever is written, a recipe loads or is refused with problems; it never crashes."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from align_cli.errors import RecipeError
from align_cli.recipe import mixtures, renames
from align_cli.recipe.decode import decode, encode
from align_cli.recipe.fields import fields_of
from align_cli.recipe.load import BLOCKS, load
from align_cli.recipe.migrate import migrate
from tests.recipe.conftest import task

INNER = ["sources", "eval", "held_out", "seed", "combine", "path", "fraction", "rows", "datasets", "id", "weight", "x"]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5000)
    | st.floats(allow_nan=True)
    | st.sampled_from(
        [
            "no",
            "steps",
            "epoch",
            "1e-5",
            "a/b",
            "train",
            "${seed}",
            "${nowhere}",
            "${bad",
            "${seed.x}",
            "${oc.env:}",
            "",
            "???",
            "{",
            "a,b",
        ]
    )
    | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(INNER) | st.text(max_size=3) | st.integers(), inner, max_size=4)
    ),
    max_leaves=6,
)
# Data and our own words come up often, upstream's hundred others now and then.
KEYS = st.sampled_from(sorted({*BLOCKS, *mixtures.DATA_KEYS} - {"extends"})) | st.deferred(
    lambda: st.sampled_from(words_of_recipes())
)


def words_of_recipes() -> list[str]:
    known = {*fields_of(task().configs), *BLOCKS, *mixtures.DATA_KEYS, *renames.table(), "lr", "nonsense"}
    return sorted(known - {"extends"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("robust")


@given(tree=st.dictionaries(KEYS, VALUES, max_size=8), words=st.lists(st.tuples(KEYS, st.text(max_size=6)), max_size=2))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tree_loads_or_is_refused(folder: Path, tree: dict[str, Any], words: list[tuple[str, str]]) -> None:
    path = folder / "r.yaml"
    path.write_text(json.dumps(tree), encoding="utf-8")  # JSON is YAML

    try:
        recipe = load([str(path), *(f"{key}={value}" for key, value in words)], task())
    except RecipeError as error:
        refused = error.problems
    else:
        refused = ()
        assert decode(json.loads(json.dumps(encode(recipe)))) == recipe
    assert refused or "model_name_or_path" in recipe.values
    with contextlib.suppress(RecipeError):
        migrate(path.read_text(encoding="utf-8"), task())


@given(text=st.text())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_read_or_refused(folder: Path, text: str) -> None:
    path = folder / "t.yaml"
    path.write_text(text, encoding="utf-8", errors="replace")

    with contextlib.suppress(RecipeError):
        load([str(path)], task())
    with contextlib.suppress(RecipeError):
        migrate(text, task())
