from __future__ import annotations

import pickle
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli.mix.layout.turns import BadRowError
from align_cli.mix.layout.where import WhereError, check_columns, compiled

ROW: dict[str, Any] = {
    "score": 5,
    "lang": "en",
    "languages": ["en", "de"],
    "meta": {"score": 3, "empty": None},
    "packed": '{"a": [1, 2]}',
    "Answer.sentence1": "x",
    "number": "5",
    "nothing": None,
    "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}],
}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('score >= 4 and "en" in languages', True),
        ('score >= 4 and "fr" in languages', False),
        ("not (score < 4 or score > 9)", True),
        ("1 < score < 9", True),
        ("score % 2 == 1 and (score + 1) * 2 == 12 and score // 2 == 2 and -score < 0", True),
        ('lang in ["en", "de"] and lang not in ("fr",)', True),
        ('"n" in lang', True),
        ('meta["score"] == 3 and meta.score == 3', True),
        ("packed.a[1] == 2", True),
        ('len(messages) == 2 and messages[0].role == "user" and messages[-1].content == "ho"', True),
        ('any(turn.role == "tool" for turn in messages)', False),
        ('all(len(turn.content) < 9 for turn in messages if turn.role == "assistant")', True),
        ('startswith(lower(lang), "e") and endswith(upper(lang), "N")', True),
        ("number(number) >= 4", True),
        (r'matches(lang, "^\w+$")', True),
        ('words(" a b  c ") == 3 and strip(" a ") == "a"', True),
        ("max(score, 9) == 9 and min([3, 1]) == 1 and sum([1, 2]) == 3 and abs(-2) == round(2.2)", True),
        ('column("Answer.sentence1") == "x"', True),
        ('column("absent", 0) == 0', True),
        ('lang[:1] == "e"', True),
        ("1 if score else 0", True),
        ("score", True),
    ],
)
def test_an_expression_says_what_it_reads_like(expression: str, expected: bool) -> None:
    assert compiled(expression)(ROW) is expected


@pytest.mark.parametrize(
    "expression",
    [
        "nothing > 3",
        "not nothing > 3",
        "nothing + 1 == 2",
        'nothing != "en"',
        "nothing not in languages",
        'meta.absent == "x"',
        "meta.empty.deeper == 1",
        "languages[7] == 1",
        "len(nothing) > 0",
        "number(lang) > 0",
        "score / 0 > 1",
        "nothing > 3 and score == 5",
        "any(turn.role for turn in nothing)",
    ],
)
def test_what_is_null_does_not_match_and_says_so(expression: str) -> None:
    found = compiled(expression)

    assert found.value(ROW) is None
    assert found(ROW) is False


def test_null_decides_nothing_that_is_decided_without_it() -> None:
    assert compiled("nothing > 3 or score == 5")(ROW)
    assert compiled("nothing is None and nothing == None and score is not None")(ROW)
    assert not compiled("nothing != None")(ROW)


@pytest.mark.parametrize(
    ("expression", "reason", "hint"),
    [
        ("number >= 4", r"text \(5\) and a number \(4\) cannot be compared", "number(COLUMN)"),
        ("lang == 4", "cannot be compared with ==", "number(COLUMN)"),
        ("languages < 3", "cannot be compared", ""),
        ('lang + 1 == "en1"', r"text \+ a number", ""),
        ("len(score) > 1", r"len\(…\) cannot take a number", ""),
        ("lang", "gives text, not true or false", ""),
        ("3 in lang", "a number cannot be in text", ""),
        ("any(x for x in score)", "a loop runs over a list", ""),
        ("score.deeper", 'a number has no field "deeper"', ""),
    ],
)
def test_values_that_do_not_go_together_make_the_row_bad(expression: str, reason: str, hint: str) -> None:
    with pytest.raises(BadRowError, match=reason) as caught:
        compiled(expression)(ROW)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("score >=", "not an expression"),
        ("score >= 4)", "at column 11"),
        ("score = 4", "at column 7"),
        ("", "not an expression"),
        ("9**9**9", r"\*\* is not possible"),
        ('"a" * 10**9', r"\*\* is not possible"),
        ("1 << 99", "LShift is not possible"),
        ("[x for x in languages]", "ListComp is not possible"),
        ("any(x for x in languages for y in languages)", "one loop over one name"),
        ("any(any(y for y in x) for x in languages)", "a loop inside a loop"),
        ("max(x for x in languages) == 1", r"stands in any\(…\) or all\(…\) only"),
        ("(lambda: 1)()", "no function"),
        ("(x := 5)", ":= is not possible"),
        ('f"{score}"', "is not possible"),
        ("__import__('os')", "no function"),
        ("score.__class__", "is not possible"),
        ("messages.append(1)", "no function"),
        ('lang.startswith("e")', "no function"),
        ("len(languages, 2)", "takes 1 value"),
        ("len(*languages)", "takes 1 value"),
        ("column(lang)", "a name in quotes"),
        ("lang is score", "`is` is for null only"),
        ("matches(lang, lang)", "a pattern in quotes"),
        ('matches(lang, "(")', "no regular expression"),
        ('matches(lang, "(a+)+$")', "repeats a repeat"),
        ("x" * 3000, "3000 characters"),
        ("(" * 300 + "1" + ")" * 300, "parentheses"),
        ("not " * 300 + "score", "deeper than 40"),
        ("+".join(["score"] * 300), "deeper than 40"),
        ("1j", "is not possible"),
        ("...", "is not possible"),
    ],
)
def test_what_a_filter_does_not_have_is_refused_before_any_row(expression: str, reason: str) -> None:
    with pytest.raises(WhereError, match=reason):
        compiled(expression)


@pytest.mark.parametrize("expression", ['"a" * 999999999', "languages * 999999999", '"%999999999d" % 5'])
def test_nothing_grows_beyond_the_row(expression: str) -> None:
    with pytest.raises(BadRowError, match="cannot be computed"):
        compiled(f"len({expression}) > 0")(ROW)


def test_methods_are_pointed_to_the_function_of_that_name() -> None:
    with pytest.raises(WhereError) as caught:
        compiled('lang.startswith("e")')
    assert "startswith(TEXT, …)" in caught.value.hint


def test_the_columns_that_must_exist_are_known_without_a_row() -> None:
    found = compiled('score > 1 and any(x == lang for x in languages) and column("a.b") == 1 and column("c", 0) == 0')

    assert found.columns == ("score", "languages", "lang", "a.b")


@pytest.mark.parametrize(
    ("expression", "message", "hint"),
    [
        ("sorce > 3", 'no column "sorce"', "did you mean score?"),
        ('Answer.sentence1 == "x"', 'no column "Answer"', 'column("Answer.sentence1")'),
        ("zzz", 'no column "zzz"', "the columns are score, lang"),
    ],
)
def test_an_unknown_column_is_told_once_with_those_that_exist(expression: str, message: str, hint: str) -> None:
    with pytest.raises(WhereError, match=message) as caught:
        check_columns(compiled(expression), list(ROW))
    assert hint in caught.value.hint


def test_a_filter_can_be_sent_to_another_process_after_use() -> None:
    found = compiled("score > 3")
    assert found(ROW)

    assert pickle.loads(pickle.dumps(found))(ROW)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_no_value_of_a_column_makes_more_of_an_error_than_a_bad_row(value: Any) -> None:
    for expression in ("v > 3", 'v == "a"', '"a" in v', "len(v) > 1", "v.a.b == 1", "v[0] == 1", "number(v) < sum(v)"):
        with suppress(BadRowError):
            assert compiled(expression)({"v": value}) in (True, False)


@given(st.text(alphabet="ab()[]{}'\"+-*/%<>=!., :\\\n\t019_", max_size=30))
def test_no_text_makes_more_of_an_error_than_that_it_is_no_filter(text: str) -> None:
    with suppress(WhereError):
        assert all(isinstance(column, str) for column in compiled(text).columns)
