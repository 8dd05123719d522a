"""Conversations with a fault that has one plain meaning are mended, and each repair has a name.

Mended: turns without text, turns of one speaker that follow each other, a system turn that comes too late. Left as
they are, because their author may have meant them so: a conversation that the assistant opens, a last question without
an answer, several system turns, and one whose roles may be exchanged: turns in a wrong order look the same.
"""

from __future__ import annotations

from collections.abc import Sequence

Turn = tuple[str, str | None, str | None]
"""(role, content, extra), as in `rows`."""

EMPTY = "empty turn removed"
JOINED = "turns of one role joined"
LATE_SYSTEM = "late system turn moved to the front"

#: Roles whose consecutive turns are one turn in pieces; a tool may well answer twice.
_JOINABLE = ("system", "developer", "user", "assistant")


def mend(turns: Sequence[Turn]) -> tuple[list[Turn], tuple[str, ...]]:
    """The turns in order, and the names of what was done, each once.

    - A turn goes when its content is empty or white space and it has nothing else, such as tool calls.
    - Consecutive turns of one role become one, with a blank line between their texts, unless one has more than text.
    - The only system turn moves to the front.

    Mending twice does nothing more. A conversation without any text stays as it is: its row is bad.
    """
    mended = [turn for turn in turns if turn[2] or (turn[1] and not turn[1].isspace())]
    if not mended:
        return list(turns), ()
    done = [EMPTY] if len(mended) < len(turns) else []
    count = len(mended)
    mended = _joined(mended)
    systems = [place for place, turn in enumerate(mended) if turn[0] == "system"]
    late = len(systems) == 1 and systems[0] > 0
    if late:
        mended.insert(0, mended.pop(systems[0]))
        mended = _joined(mended)
    if len(mended) < count:
        done.append(JOINED)
    if late:
        done.append(LATE_SYSTEM)
    return mended, tuple(done)


def _joined(turns: Sequence[Turn]) -> list[Turn]:
    joined: list[Turn] = []
    for role, content, extra in turns:
        last = joined[-1] if joined else None
        if last and last[0] == role and role in _JOINABLE and not extra and not last[2]:
            joined[-1] = role, f"{last[1]}\n\n{content}", None
        else:
            joined.append((role, content, extra))
    return joined
