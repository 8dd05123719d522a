from __future__ import annotations

import io
import json

import pytest

from align_cli.cli.errors import as_text, report, without_secrets
from align_cli.errors import EXIT_CODES, AlignError, DataError, Interrupted, Problem, RecipeError


def test_a_pipe_gets_one_line_per_problem():
    error = RecipeError(
        "r.yaml has 2 problems", problems=[Problem("x " * 100, "r.yaml:3"), Problem("bad", "a", "do b")]
    )

    lines = as_text(error, io.StringIO()).splitlines()

    assert lines[0] == "error: r.yaml has 2 problems"
    assert lines[1].startswith("  r.yaml:3: x x x")
    assert lines[2:] == ["  a: bad", "      do b"]


@pytest.mark.parametrize("place", ["bf16=maybe", "--bf16=maybe", "--bf16 maybe"])
def test_an_override_that_is_the_place_is_not_said_again(place: str):
    assert Problem("bf16: maybe: neither", place).placed == f"{place}: neither"
    assert Problem("bf16: neither", "r.yaml:3").placed == "r.yaml:3: bf16: neither"
    assert Problem("a: b: neither", "a").placed == "a: b: neither"


def test_very_many_problems_are_counted_not_listed():
    error = DataError("bad rows", problems=[Problem("empty", f"a.jsonl:{n}") for n in range(100)])

    lines = as_text(error, io.StringIO()).splitlines()

    assert lines[-1] == "  … and 60 more"


def test_json_has_all_problems_and_the_exit_code():
    stream = io.StringIO()
    error = DataError("bad rows", problems=[Problem("empty", f"a.jsonl:{n}") for n in range(100)], hint="fix them")

    code = report(error, as_json=True, stream=stream)

    document = json.loads(stream.getvalue())
    assert code == document["exit_code"] == 3
    assert len(document["problems"]) == 100
    assert document["hint"] == "fix them"


def test_an_interruption_is_not_called_an_error():
    assert as_text(Interrupted("stopped"), io.StringIO()) == "interrupted: stopped\n"


def test_secrets_are_blanked_by_value_and_by_shape(monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "s3cr3t-value")
    monkeypatch.setenv("KEYBOARD", "ordinary-word")

    text = without_secrets("s3cr3t-value ordinary-word hf_abcdefghijklmnopqrstu")

    assert "s3cr3t" not in text
    assert "ordinary-word" in text
    assert "hf_abc" not in text


def test_every_error_has_a_documented_exit_code():
    def tree(kind: type[AlignError]) -> set[type[AlignError]]:
        return {kind}.union(*(tree(child) for child in kind.__subclasses__()))

    codes = {kind.exit_code for kind in tree(AlignError)}
    assert len(codes) >= 8
    assert codes <= set(EXIT_CODES)
