"""`align eval arena serve`: what cannot be is said in plain words before anything is served."""

from __future__ import annotations

import json
from typing import get_type_hints

import pytest

from align_cli.cli.evals import words
from align_cli.cli.evals.arena_serve import Live, Stored


@pytest.fixture
def answers(tmp_path):
    """Files of two models on the same prompts, and of one on another."""
    for name, prompt in (("one", "Hi?"), ("two", "Hi?"), ("apart", "Bye?")):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"prompt": prompt, "answer": name}) + "\n")
    (tmp_path / "broken.jsonl").write_text('{"prompt": "Hi?"}\n{"answer": "x"}\n')


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["one.jsonl"], 2, "a battle needs two models"),
        (["one.jsonl", "nope.jsonl", "evals/x"], 2, "nope.jsonl: there is no such file"),
        (["one.jsonl", "evals/x"], 2, "evals/x: there are no stored answers of it"),
        (["one.jsonl", "two.jsonl", "apart.jsonl"], 2, "no other model has answered one of them"),
        (["one.jsonl", "one.jsonl"], 2, "two models are called one"),
        (["one.jsonl", "broken.jsonl"], 3, "broken.jsonl:1: there is no answer"),
        (["one.jsonl", "two.jsonl", "--overlap", "2"], 2, "--overlap is 2"),
        (["one.jsonl", "two.jsonl", "--port", "99999"], 2, "there is no such port"),
        (["one.jsonl", "two.jsonl", "--host", "203.0.113.9"], 2, "an address of this machine"),
        (["one.jsonl", "two.jsonl", "--endpoint", "http://x"], 2, "add --live"),
        (["one.jsonl", "two.jsonl", "--url", "arena.example"], 2, "no address of a page"),
        (["one.jsonl", "two.jsonl", "--url", "https://["], 2, "no address of a page"),
        (["one.jsonl", "two.jsonl", "--url", "https://a.example:x"], 2, "no address of a page"),
        (["one.jsonl", "two.jsonl", "--url", "https://a.example/arena"], 2, "hint: https://a.example"),
        (["one.jsonl", "two.jsonl", "--category", "art"], 2, "no item is of the category art"),
        (["--live", "a@http://localhost:1/v1", "a@http://localhost:2/v1"], 2, "two models are called a"),
        (["--live", "a@http://localhost:1/v1", "./nothing"], 2, "./nothing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_served_is_said_before_anything_is(align, tmp_path, answers, words, code, said):
    done = align("eval", "arena", "serve", *words)

    assert done.code == code, done.err
    assert said in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert not (tmp_path / "evals" / "arena" / "battles.db").exists()


def test_tokens_that_would_open_the_report_to_raters_are_refused(align, answers):
    same = {"ALIGN_ARENA_TOKEN": "x" * 20, "ALIGN_ARENA_REPORT_TOKEN": "x" * 20}

    assert "may not see the report" in align("eval", "arena", "serve", "one.jsonl", "two.jsonl", **same).err
    short = align("eval", "arena", "serve", "one.jsonl", "two.jsonl", ALIGN_ARENA_TOKEN="short")
    assert (short.code, "at least 12" in short.err, "short" in short.err.replace("shortest", "")) == (2, True, False)


def test_options_that_other_commands_have_too_are_the_same_here():
    def said(groups, name):
        hints = [get_type_hints(group, include_extras=True) for group in groups]
        option = next(found[name] for found in hints if name in found).__metadata__[0]
        return option.param_decls, option.metavar, option.help

    for name in ("assets", "category", "key_env", "system", "dtype", "trust_remote_code"):
        assert said((Stored, Live), name) == said((words.Questions, words.Answering), name)
