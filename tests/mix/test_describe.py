from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from align_cli.mix.describe import SourceFact, describe
from align_cli.recipe.schema import Mixture, Source
from tests.mix.conftest import ROWS, chats

Jsonl = Callable[[str, Iterable[Any]], str]


def facts(*sources: Source, kinds: tuple[str, ...] = ROWS) -> list[SourceFact]:
    return describe(Mixture(sources=sources), kinds)


def test_lines_of_small_files_are_counted_and_the_layout_seen(jsonl: Jsonl) -> None:
    (fact,) = facts(Source(path=jsonl("a.jsonl", chats(7)), name="mine"))

    assert (fact.label, fact.kind, fact.exists, fact.available, fact.layout) == ("mine", "file", True, 7, "messages")
    assert fact.size == Path("a.jsonl").stat().st_size
    assert not fact.problems


def test_a_split_expression_is_counted_as_it_will_be_read(jsonl: Jsonl) -> None:
    assert facts(Source(path=jsonl("a.jsonl", chats(20)), split="train[:10%]"))[0].available == 2


def test_a_missing_file_is_a_problem_of_its_own_source(jsonl: Jsonl) -> None:
    good, missing = facts(Source(path=jsonl("a.jsonl", chats(1))), Source(path="b.jsonl"))

    assert not good.problems
    assert missing.exists is False
    assert missing.problems
    assert "no file or folder" in missing.problems[0].message


def test_rows_that_fit_no_layout_are_a_problem_before_any_work(jsonl: Jsonl) -> None:
    path = jsonl("a.jsonl", [{"utterances": []}])

    assert "fit no layout" in str(facts(Source(path=path))[0].problems[0])
    assert not facts(Source(path=path), kinds=())[0].problems


def test_the_hub_is_not_asked_and_nothing_heavy_imported(jsonl: Jsonl) -> None:
    jsonl("a.jsonl", chats(3))
    code = """
import sys
from align_cli.mix.describe import describe
from align_cli.recipe.schema import Mixture, Source
sources = (Source(path="HuggingFaceH4/ultrachat_200k", split="train_sft"), Source(path="a.jsonl"))
print([(fact.kind, fact.exists, fact.available) for fact in describe(Mixture(sources=sources), ("messages",))])
print([name for name in ("numpy", "pyarrow", "datasets", "socket", "huggingface_hub") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout.splitlines() == ["[('hub', None, None), ('file', True, 3)]", "[]"]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("score >=", "not an expression"),
        ("sorce > 3", "did you mean score?"),
        ("score > 3", "number(COLUMN)"),
    ],
)
def test_a_wrong_filter_is_a_problem_before_any_work(jsonl: Jsonl, expression: str, words: str) -> None:
    path = jsonl("a.jsonl", [{**row, "score": "5"} for row in chats(3)])

    (fact,) = facts(Source(path=path, where=expression))

    assert len(fact.problems) == 1
    assert words in str(fact.problems[0])


def test_a_filter_that_cannot_be_read_is_a_problem_even_of_a_hub_source_or_a_missing_file() -> None:
    hub, missing = facts(Source(path="owner/name", where="score >"), Source(path="b.jsonl", where="score >"))

    assert ["not an expression" in str(problem) for problem in hub.problems] == [True]
    assert len(missing.problems) == 2


def test_a_filter_is_not_wrong_because_some_rows_do_not_suit_it(jsonl: Jsonl) -> None:
    path = jsonl("a.jsonl", [{**row, "score": score} for row, score in zip(chats(3), ("5", 5, None), strict=True)])

    assert not facts(Source(path=path, where="score > 3"))[0].problems


def test_a_system_prompt_for_plain_text_is_a_problem_unless_other_sources_make_turns_of_it(jsonl: Jsonl) -> None:
    text = Source(path=jsonl("a.jsonl", [{"prompt": "q", "completion": "a"}]), system="s")
    turns = Source(path=jsonl("b.jsonl", chats(1)))

    assert "system: is for conversations" in str(facts(text)[0].problems)
    assert not any(fact.problems for fact in facts(text, turns))


def test_plain_text_is_noted_as_what_no_template_touches_unless_other_sources_make_turns_of_it(jsonl: Jsonl) -> None:
    text = Source(path=jsonl("a.jsonl", [{"prompt": "q", "completion": "a"}]))
    turns = Source(path=jsonl("b.jsonl", chats(1)))

    assert "no chat template is applied" in facts(text)[0].notes[0]
    assert not any(fact.notes for fact in facts(text, turns))


def test_what_a_layout_decides_is_noted_and_the_columns_are_known(jsonl: Jsonl) -> None:
    path = jsonl("a.jsonl", [{"id": 1, "turn1": "q", "turn2": "a"}])

    (fact,) = facts(Source(path=path, layout="numbered"))

    assert (fact.layout, fact.columns) == ("numbered", ("id", "turn1", "turn2"))
    assert '"turn" 1, 2, …' in fact.notes[0]
