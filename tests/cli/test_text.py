from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli.cli import text
from align_cli.cli.recipes.recipe_text import scalar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("env", "colour"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True),
    ],
)
def test_colour_follows_the_terminal_and_the_users_wish(monkeypatch, env, colour):
    for name in ("TERM", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)

    assert text.has_colour(Terminal()) is colour


def test_a_pipe_is_never_wrapped(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)

    assert text.wrap("word " * 100, io.StringIO(), indent="    ", first="  ") == "  " + "word " * 100


def test_a_terminal_is_wrapped_to_its_width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")

    wrapped = text.wrap("word " * 100, Terminal(), indent="    ", first="  ")

    assert max(len(line) for line in wrapped.splitlines()) <= 50


def test_upstreams_markup_becomes_plain_words():
    documented = "See [TF32 docs](https://example.org/x) and\n  [`~trainer.Foo`] or `bar` (:class:`~a.B`)."

    assert text.prose(documented) == "See TF32 docs and trainer.Foo or bar (a.B)."


@given(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\ufeff")),
        st.lists(st.integers()),
        st.dictionaries(st.sampled_from(["a", "b"]), st.booleans()),
    )
)
def test_a_value_shown_as_yaml_is_read_as_the_same_value(value):
    import yaml

    assert yaml.safe_load(f"key: {scalar(value)}")["key"] == value
