"""Answers as the page reads them: few harmless elements, and no word lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evals.report.scripts import trees

HARMLESS = {
    "p", "br", "h5", "ul", "ol", "li", "blockquote", "pre", "code", "strong", "em", "table", "tr", "th", "td", "hr",
    "span",
}  # fmt: skip
#: Marks that a reader which looks for each one's end again and again would never get through.
TRAPS = (
    "*", "**a ", " *a", "`", "[", "[a](", "> ", "- ", "  - a\n", "|", "|a|\n|-|\n", "\n", "# ", "~~~\n", "1. a\n\n",
)  # fmt: skip


def nodes(tree: list[Any]) -> Iterator[Any]:
    for node in tree:
        yield node
        if isinstance(node, dict):
            yield from nodes(node["kids"])


def words(tree: list[Any]) -> str:
    """All text of a tree, with what stands beside it."""
    return "".join(node if isinstance(node, str) else f"{node.get('lang') or ''}{words(node['kids'])}" for node in tree)


def shape(tree: list[Any]) -> list[Any]:
    """A tree as nested lists: the tag, then what is in it."""
    return [node if isinstance(node, str) else [node["tag"], *shape(node["kids"])] for node in tree]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", [["p", "plain"]]),
        ("one\ntwo", [["p", "one", ["br"], "two"]]),
        ("one\n\ntwo", [["p", "one"], ["p", "two"]]),
        ("# Head", [["h5", "Head"]]),
        ("a **b *c* d** e", [["p", "a ", ["strong", "b ", ["em", "c"], " d"], " e"]]),
        ("2 * 3 * 4 and 2*3", [["p", "2 * 3 * 4 and 2*3"]]),
        ("`a*b*` and ``c`d``", [["p", ["code", "a*b*"], " and ", ["code", "c`d"]]]),
        ("snake_case_name and $x_1$", [["p", "snake_case_name and $x_1$"]]),
        (r"\(a\) and \*no\*", [["p", r"\(a\) and *no*"]]),
        ("```python\nif a:\n    b *c*\n```\nafter", [["pre", ["code", "if a:\n    b *c*"]], ["p", "after"]]),
        ("```\nnever closed", [["pre", ["code", "never closed"]]]),
        ("- a\n- b\n  - c", [["ul", ["li", "a"], ["li", "b", ["ul", ["li", "c"]]]]]),
        ("3. a\n\n4. b", [["ol", ["li", "a"], ["li", "b"]]]),
        ("> a\n> > b", [["blockquote", ["p", "a"], ["blockquote", ["p", "b"]]]]),
        ("---", [["hr"]]),
        (
            "| a | b |\n|---|:-:|\n| `c` | d |",
            [["table", ["tr", ["th", "a"], ["th", "b"]], ["tr", ["td", ["code", "c"]], ["td", "d"]]]],
        ),
        ("<b>bold?</b>", [["p", "<b>bold?</b>"]]),
        ("see [this](javascript:alert(1))", None),
        ("see [this](https://a.example/b)", [["p", "see this", ["span", " (https://a.example/b)"]]]),
        ("![cat](https://a.example/c.png)", [["p", "[picture: cat]", ["span", " (https://a.example/c.png)"]]]),
    ],
)
def test_markdown_as_models_write_it(text: str, expected: list[Any] | None) -> None:
    (found,) = trees([text])

    if expected is not None:
        assert shape(found) == expected
    assert {node["tag"] for node in nodes(found) if isinstance(node, dict)} <= HARMLESS


def test_a_list_goes_on_with_its_number_after_something_between() -> None:
    (found,) = trees(["1. one\n\nbetween\n\n2. two"])

    assert [node["value"] for node in nodes(found) if isinstance(node, dict) and node["tag"] == "li"] == [1, 2]


def test_the_language_of_a_block_of_code_is_kept() -> None:
    (found,) = trees(["```c++\nint a;\n```"])

    assert found[0]["lang"] == "c++"


@settings(max_examples=8, deadline=None)
@given(
    texts=st.lists(
        st.lists(
            st.sampled_from(
                ["a", "bc", " ", "  ", "    ", "\n", "\n\n", "*", "**", "`", "```", "~~~", "#", "> ", "- ", "1. ", "|",
                 "|-|", "-", "[", "]", "](", "(", ")", "\\", "<b>", "</script>", "\r\n", "_", "\t"]
            )
        ).map("".join),
        min_size=40,
        max_size=80,
    )
)  # fmt: skip
def test_no_letter_is_lost_whatever_the_marks_are(texts: list[str]) -> None:
    for text, tree in zip(texts, trees(texts), strict=True):
        assert re.sub("[^a-z]", "", words(tree)) == re.sub("[^a-z]", "", text), text
        assert {node["tag"] for node in nodes(tree) if isinstance(node, dict)} <= HARMLESS


@pytest.mark.parametrize("pattern", TRAPS)
def test_patterns_that_trap_slow_readers_are_read(pattern: str) -> None:
    (found,) = trees([pattern * (150_000 // len(pattern))])

    assert isinstance(found, list)


def test_a_text_beyond_all_measure_is_shown_as_it_is() -> None:
    text = "*a* " * 100_000

    (found,) = trees([text])

    assert found == [{"tag": "pre", "kids": [{"tag": "code", "kids": [text]}]}]
