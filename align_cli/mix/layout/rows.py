"""One row of a file, in whatever layout, becomes one row of ours, or a reason why it cannot.

Our rows are plain tuples, in the order of the columns in `columns.COLUMNS`. A turn is (role, content, extra).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from align_cli.mix.layout import sides, turns
from align_cli.mix.layout.layouts import Fit
from align_cli.mix.layout.sides import Finish
from align_cli.mix.layout.turns import ROLES, BadRowError, Turn

__all__ = ["ROLES", "BadRowError", "Row", "Turn", "converter"]

Row = tuple[Any, ...]
Convert = Callable[[Mapping[str, Any]], Row]


def converter(fit: Fit, shape: str, *, system: str | None = None, repaired: Counter[str] | None = None) -> Convert:
    """The function that turns one of the source's rows into one of `shape`; it raises BadRowError.

    Text becomes turns when `shape` says so: prompt and completion are then a user's and an assistant's turn.
    `system` is put before conversations without a system turn. With `repaired`, turns are mended before they are
    checked, and what was done is counted there, once a row.

    Raises:
        ValueError: `system` is given and the shape has no turns. `shapes.common` says so to the user before.
    """
    if system and (shape == "text" or shape.endswith("_text")):
        raise ValueError(f"{shape} has no turns, so it takes no system prompt")
    done: list[str] = []
    mend = _mending(done) if repaired is not None else None

    def finish(made: list[Turn]) -> list[Turn]:
        if mend:
            made = mend(made)
        if system and not (made and made[0][0] in ("system", "developer")):
            made.insert(0, ("system", system, None))
        return made

    make = _maker(fit, shape, finish if system or mend else list, mend or list)
    if repaired is None:
        return make

    def counted(row: Mapping[str, Any]) -> Row:
        done.clear()
        made = make(row)
        repaired.update(set(done))
        return made

    return counted


def _mending(done: list[str]) -> Finish:
    from align_cli.mix.clean.repair import mend

    def mended(made: list[Turn]) -> list[Turn]:
        kept, names = mend(made)
        done.extend(names)
        return kept

    return mended


def _maker(fit: Fit, shape: str, first: Finish, later: Finish) -> Convert:
    """The function for the shape. `first` finishes turns that begin a conversation, `later` those within one."""
    picks, kind = fit.picks, fit.layout.kind
    if shape == "text":
        return lambda row: (turns.text(row, picks["text"]),)
    if kind == "preference":
        return sides.preference(fit, shape, first, later)
    if kind == "unpaired":
        return sides.unpaired(fit, shape, first, later)
    if kind == "prompt":
        return sides.prompt(fit, shape, first)
    if shape == "pair_text":
        return lambda row: _pair(row, picks)
    if kind == "prompt_completion":
        return _pair_turns(fit, shape, first, later)
    if "instruction" in picks or "question" in picks:
        return _asked(fit, first)

    def messages(row: Mapping[str, Any]) -> Row:
        made = turns.conversation(fit, row, picks["messages"])
        if "system" in picks and row.get(picks["system"]) and made[0][0] != "system":
            made.insert(0, ("system", turns.text(row, picks["system"]), None))
        made = first(made)
        turns.check(made)
        return made, *sides.around(row, picks)

    return messages


def _pair(row: Mapping[str, Any], picks: Mapping[str, str]) -> Row:
    completion = turns.text(row, picks["completion"])
    if not completion:
        raise BadRowError(f'"{picks["completion"]}" is empty: there is nothing to learn')
    return turns.text(row, picks["prompt"]), completion


def _pair_turns(fit: Fit, shape: str, first: Finish, later: Finish) -> Convert:
    picks = fit.picks

    def pair(row: Mapping[str, Any]) -> Row:
        if fit.turns:
            prompt = first(turns.of(fit, turns.listed(row, picks["prompt"])))
            completion = later(turns.of(fit, turns.listed(row, picks["completion"])))
            turns.check(prompt + completion)
        else:
            asked, answer = _pair(row, picks)
            prompt, completion = first([("user", asked, None)]), [("assistant", answer, None)]
        return prompt, completion, *sides.around(row, picks)

    def joined(row: Mapping[str, Any]) -> Row:
        prompt, completion, *rest = pair(row)
        return prompt + completion, *rest

    return joined if shape == "messages" else pair


def _asked(fit: Fit, first: Finish) -> Convert:
    """Layouts with a column for the question and one for the answer, both text."""
    picks = fit.picks
    answer = picks["output"] if "output" in picks else picks["answer"]

    def asked(row: Mapping[str, Any]) -> Row:
        made = sides.question(row, picks)
        reply = turns.text(row, answer)
        if not reply:
            raise BadRowError(f'"{answer}" is empty: there is nothing to learn')
        made.append(("assistant", reply, None))
        return first(made), None, None

    return asked
