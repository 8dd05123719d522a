from __future__ import annotations

import json
from pathlib import Path

import pytest

from align_cli import assets
from align_cli.errors import DataError
from align_cli.mix.clean import benchmarks


def test_every_text_of_a_local_file_is_looked_for(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": "one"}], "n": 1}, {"question": "two", "answers": ["three"]}]
    Path("tests.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    found = list(benchmarks.texts(("tests.jsonl",)))

    assert [(one.name, one.text) for one in found] == [
        ("tests.jsonl:1", "user"),
        ("tests.jsonl:1", "one"),
        ("tests.jsonl:2", "two"),
        ("tests.jsonl:2", "three"),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "id,question\n1,what is it\n"),
        ("t.json", '[{"question": "what is it", "id": 1}]'),
        ("t.txt", "what is it\n"),
    ],
)
def test_files_are_read_by_their_format(name: str, content: str) -> None:
    Path(name).write_text(content)

    assert "what is it" in [one.text for one in benchmarks.texts((name,))]


def test_a_column_may_be_named() -> None:
    Path("t.jsonl").write_text('{"q": "yes", "a": "no"}\n')

    assert [one.text for one in benchmarks.texts(("t.jsonl:q",))] == ["yes"]
    with pytest.raises(DataError) as caught:
        list(benchmarks.texts(("t.jsonl:question",)))
    assert 'the column "question" holds no text (it has a, q)' in str(caught.value.problems[0])


def test_unknown_words_are_named_together_before_anything_is_fetched() -> None:
    with pytest.raises(DataError) as caught:
        benchmarks.digests(("mt-bench", "missing.jsonl", "mt_bench"))

    first, second = caught.value.problems
    assert "did you mean mt_bench?" in first.hint
    assert second.message == '"missing.jsonl" is neither a benchmark nor a file'
    assert "benchmarks are mt_bench, alpaca_eval, humaneval" in second.hint


def test_digests_follow_the_content_and_not_the_name() -> None:
    Path("one.txt").write_text("a\n")
    Path("two.txt").write_text("a\n")
    before = benchmarks.digests(("one.txt",))

    assert benchmarks.digests(("two.txt",)) == before
    Path("one.txt").write_text("b\n")
    assert benchmarks.digests(("one.txt",)) != before
    assert benchmarks.digests(("two.txt:text",)) != before
    assert benchmarks.digests(("mt_bench",)) == {"mt_bench": assets.sha256("mt_bench/question.jsonl")}


def test_humaneval_counts_prompts_and_solutions(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIGN_ASSETS", str(shared_data / "eval" / "humaneval"))

    found = list(benchmarks.texts(("humaneval",)))

    assert len(found) == 2 * 164
    assert found[0].name == "HumanEval/0, prompt"
