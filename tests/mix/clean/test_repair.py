from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from align_cli.mix.clean.repair import EMPTY, JOINED, LATE_SYSTEM, mend

_CALL = '{"tool_calls": []}'
_TURN = st.tuples(
    st.sampled_from(["system", "user", "assistant", "tool"]),
    st.sampled_from([None, "", " \n", "a", "b c", "d\n\ne"]),
    st.sampled_from([None, None, None, _CALL]),
)


def said(turns: list[tuple[str, str | None, str | None]]) -> Counter[tuple[str, str]]:
    return Counter((role, line) for role, content, _ in turns for line in (content or "").split("\n") if line.strip())


@given(st.lists(_TURN, max_size=8))
def test_mending_twice_does_nothing_more(turns: list[tuple[str, str | None, str | None]]) -> None:
    mended, _ = mend(turns)

    assert mend(mended) == (mended, ())


@given(st.lists(_TURN, max_size=8))
def test_every_word_stays_with_who_said_it(turns: list[tuple[str, str | None, str | None]]) -> None:
    mended, done = mend(turns)

    assert said(mended) == said(turns)
    assert [extra for *_, extra in mended if extra] == [extra for *_, extra in turns if extra] or LATE_SYSTEM in done
    assert (mended == turns) == (done == ())


def test_empty_turns_go() -> None:
    turns = [("system", "", None), ("user", "q", None), ("assistant", "  ", None), ("assistant", "a", None)]

    assert mend(turns) == ([("user", "q", None), ("assistant", "a", None)], (EMPTY,))


def test_a_call_without_text_is_not_empty() -> None:
    turns = [("user", "q", None), ("assistant", None, _CALL), ("tool", "1", None), ("tool", "2", None)]

    assert mend(turns) == (turns, ())


def test_turns_of_one_role_are_joined_by_a_blank_line() -> None:
    turns = [("user", "one", None), ("user", "two", None), ("assistant", "a", None)]

    assert mend(turns) == ([("user", "one\n\ntwo", None), ("assistant", "a", None)], (JOINED,))


def test_a_late_system_turn_moves_up() -> None:
    turns = [("user", "q", None), ("system", "s", None), ("user", "r", None), ("assistant", "a", None)]

    assert mend(turns) == (
        [("system", "s", None), ("user", "q\n\nr", None), ("assistant", "a", None)],
        (JOINED, LATE_SYSTEM),
    )


def test_what_may_be_meant_stays() -> None:
    opened = [("assistant", "Hello!", None), ("user", "q", None), ("assistant", "a", None), ("user", "why?", None)]
    two = [("system", "s", None), ("user", "q", None), ("system", "t", None), ("assistant", "a", None)]

    assert mend(opened) == (opened, ())
    assert mend(two) == (two, ())


def test_a_conversation_without_text_stays_for_its_row_to_be_refused() -> None:
    turns = [("user", "", None), ("assistant", None, None)]

    assert mend(turns) == (turns, ())
