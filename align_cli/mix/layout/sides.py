"""Rows of preference pairs, of judged answers and of prompts alone: what is asked, and what is answered to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from align_cli.mix.layout import turns, values
from align_cli.mix.layout.layouts import Fit
from align_cli.mix.layout.turns import BadRowError, Turn

Finish = Callable[[list[Turn]], list[Turn]]
Convert = Callable[[Mapping[str, Any]], tuple[Any, ...]]


def preference(fit: Fit, shape: str, first: Finish, later: Finish) -> Convert:
    """Rows of (prompt, chosen, rejected, …): turns, or texts where the shape says so."""
    picks = fit.picks
    words = ("chosen", "rejected")

    def as_text(row: Mapping[str, Any]) -> tuple[Any, ...]:
        if "winner" in picks:
            pair = _by_winner(row, picks)
        else:
            pair = turns.text(row, picks["chosen"]), turns.text(row, picks["rejected"])
        for word, side in zip(words, pair, strict=True):
            if not side.strip():
                raise BadRowError(f"the {word} answer is empty")
        _differ(*pair)
        return turns.text(row, picks["prompt"]) if "prompt" in picks else "", *pair

    def as_turns(row: Mapping[str, Any]) -> tuple[Any, ...]:
        if fit.turns:
            prompt, chosen, rejected = _split(fit, row, first, later)
        else:
            asked, *texts = as_text(row)
            prompt = first([("user", asked, None)] if asked else [])
            chosen, rejected = [("assistant", texts[0], None)], [("assistant", texts[1], None)]
        for word, side in zip(words, (chosen, rejected), strict=True):
            _check_answer(prompt, side, f"the {word} answer")
        _differ(chosen, rejected)
        return prompt, chosen, rejected, *around(row, picks)

    return as_turns if shape.endswith("turns") else as_text


def unpaired(fit: Fit, shape: str, first: Finish, later: Finish) -> Convert:
    """Rows of (prompt, completion, label, …)."""
    picks = fit.picks

    def as_text(row: Mapping[str, Any]) -> tuple[Any, ...]:
        completion = turns.text(row, picks["completion"])
        if not completion.strip():
            raise BadRowError(f'"{picks["completion"]}" is empty: there is nothing to judge')
        return turns.text(row, picks["prompt"]), completion, _label(row, picks["label"])

    def as_turns(row: Mapping[str, Any]) -> tuple[Any, ...]:
        if "messages" in picks:
            whole = _with_system(fit, row, turns.conversation(fit, row, picks["messages"]))
            whole = first(whole)
            prompt, completion = whole[:-1], whole[-1:]
        elif "output" in picks:
            prompt = first(question(row, picks))
            completion = [("assistant", turns.text(row, picks["output"]), None)]
        elif fit.turns:
            completion = later(_side(fit, row, "completion"))
            prompt = first(_prompt(fit, row) or [])
            if completion and completion[0][0] != "assistant":  # the whole conversation stands there
                prompt, completion = first(completion[:-1]), completion[-1:]
        else:
            asked, answer, _ = as_text(row)
            prompt, completion = first([("user", asked, None)]), [("assistant", answer, None)]
        if not prompt:
            raise BadRowError("nothing comes before the answer that is judged", "expected a prompt")
        _check_answer(prompt, completion, "the answer")
        return prompt, completion, _label(row, picks["label"]), *around(row, picks)

    return as_turns if shape.endswith("turns") else as_text


def prompt(fit: Fit, shape: str, first: Finish) -> Convert:
    """Rows of (prompt, …)."""
    picks = fit.picks

    def as_text(row: Mapping[str, Any]) -> tuple[Any, ...]:
        asked = turns.text(row, picks["prompt"])
        if not asked.strip():
            raise BadRowError(f'"{picks["prompt"]}" is empty')
        return (asked,)

    def as_turns(row: Mapping[str, Any]) -> tuple[Any, ...]:
        if "messages" in picks:
            made = turns.conversation(fit, row, picks["messages"])
            last = max((number for number, turn in enumerate(made, 1) if turn[0] == "user"), default=0)
            made = made[:last]
        elif "prompt" in picks:
            made = _prompt(fit, row) or []
        else:
            made = question(row, picks)
        made = first(made)
        if not any(turn[0] == "user" for turn in made):
            raise BadRowError("no turn is the user's: nothing is asked")
        return made, *around(row, picks)

    return as_turns if shape.endswith("turns") else as_text


def question(row: Mapping[str, Any], picks: Mapping[str, str]) -> list[Turn]:
    """What an alpaca row or a question asks: system prompt, earlier exchanges, and the user's turn."""
    user = turns.text(row, picks["instruction"] if "instruction" in picks else picks["question"])
    if "input" in picks and row.get(picks["input"]):
        user = f"{user}\n\n{turns.text(row, picks['input'])}"
    made: list[Turn] = [("user", user, None)]
    if "history" in picks and (pairs := values.unpacked(row.get(picks["history"]))):
        made = [*_history(pairs, picks["history"]), *made]
    if "system" in picks and row.get(picks["system"]):
        made.insert(0, ("system", turns.text(row, picks["system"]), None))
    return made


def around(row: Mapping[str, Any], picks: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The row's tools and chat_template_kwargs as JSON text."""
    return _tools(row, picks.get("tools")), _json(row, picks.get("chat_template_kwargs"))


def _split(fit: Fit, row: Mapping[str, Any], first: Finish, later: Finish) -> tuple[list[Turn], list[Turn], list[Turn]]:
    """Prompt, chosen and rejected turns. What both sides begin with is the prompt when they hold whole dialogues."""
    picks = fit.picks
    chosen, rejected = _side(fit, row, "chosen"), _side(fit, row, "rejected")
    given = question(row, picks) if "instruction" in picks or "question" in picks else _prompt(fit, row)
    if given and "messages" not in picks and "prompt" in picks:
        given = _with_system(fit, row, given)
    answers = [side and side[0][0] == "assistant" for side in (chosen, rejected)]
    if given and all(answers):
        return first(given), later(chosen), later(rejected)
    if not given and all(answers):
        raise BadRowError("the two sides have no prompt in common", "both must begin with the turns that they answer")
    if isinstance(row.get(picks.get("prompt", "")), list) and given:
        begin = [side[: len(given)] == given for side in (chosen, rejected)]
        if not all(begin):
            which = "neither side begins" if not any(begin) else "only one side begins"
            raise BadRowError(f"{which} with the turns of the prompt", "the prompts of the two sides must be equal")
    chosen, rejected = first(chosen), first(rejected)
    limit = min(len(chosen), len(rejected)) - 1
    at = next((number for number in range(limit) if chosen[number] != rejected[number]), max(limit, 0))
    if at == 0:
        raise BadRowError("the two sides have no turn in common", "both must begin with the turns that they answer")
    if chosen[at][0] != "assistant" or rejected[at][0] != "assistant":
        raise BadRowError(
            f"the two sides differ at turn {at + 1}, which is not the assistant's", "they must answer the same prompt"
        )
    return chosen[:at], chosen[at:], rejected[at:]


def _side(fit: Fit, row: Mapping[str, Any], word: str) -> list[Turn]:
    """The turns of one side; a text is the assistant's turn."""
    column = fit.picks[word]
    if fit.layout.forms.get(word) == "dialogue":
        return turns.spoken(row, column)
    value = row.get(column)
    found = values.turns_in(value, (fit.role,)) if fit.layout.role else None
    if found is None:
        return [("assistant", turns.text(row, column), None)]
    if not found:
        raise BadRowError(f'"{column}" is an empty list', "expected at least one turn")
    return turns.of(fit, found)


def _prompt(fit: Fit, row: Mapping[str, Any]) -> list[Turn] | None:
    """The turns of the prompt's column; a text is the user's turn. None where there is no prompt."""
    column = fit.picks.get("prompt")
    if column is None or row.get(column) in (None, [], "", "[]"):
        return None
    found = values.turns_in(row[column], (fit.role,))
    return turns.of(fit, found) if found is not None else [("user", turns.text(row, column), None)]


def _with_system(fit: Fit, row: Mapping[str, Any], made: list[Turn]) -> list[Turn]:
    column = fit.picks.get("system")
    if column and row.get(column) and made[0][0] != "system":
        return [("system", turns.text(row, column), None), *made]
    return made


def _by_winner(row: Mapping[str, Any], picks: Mapping[str, str]) -> tuple[str, str]:
    """(better, worse) of two texts. The winner is named as its column is, or by the end of that name: b of answer_b."""
    names = picks["first"], picks["second"]
    value = row.get(picks["winner"])
    word = str(value).strip().removesuffix(".0")
    shared = next((at for at, pair in enumerate(zip(*names, strict=False)) if pair[0] != pair[1]), 0)
    for which, name in enumerate(names):
        if word.lower() in (name.lower(), name[shared:].lower()):
            texts = [turns.text(row, column) for column in names]
            return texts[which], texts[1 - which]
    raise BadRowError(
        f'"{picks["winner"]}" is {word if value is not None else "null"}', f"expected {names[0]} or {names[1]}"
    )


def _check_answer(prompt: Sequence[Turn], answer: Sequence[Turn], what: str) -> None:
    if not answer:
        raise BadRowError(f"{what} is empty")
    role, content, extra = answer[-1]
    if role != "assistant":
        raise BadRowError(f"the last turn of {what} is not the assistant's but the {role}'s")
    if not (content and content.strip()) and not extra:
        raise BadRowError(f"{what} is empty")
    turns.check([*prompt, *answer])


def _differ(chosen: Any, rejected: Any) -> None:
    if chosen == rejected:
        raise BadRowError("chosen and rejected are equal: there is nothing to prefer", "remove the row")


def _label(row: Mapping[str, Any], column: str) -> bool:
    value = row.get(column)
    found = values.flag(value)
    if found is None:
        raise BadRowError(f'"{column}" is {values.named(value)}', "expected true or false, or 1 or 0")
    return found


def _history(pairs: Any, column: str) -> list[Turn]:
    """Earlier exchanges, as LLaMA-Factory has them: [[question, answer], …]."""
    made: list[Turn] = []
    for pair in pairs if isinstance(pairs, list) else [None]:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(one, str) for one in pair):
            raise BadRowError(f'"{column}" is no list of exchanges', "expected [[question, answer], …]")
        made += [("user", pair[0], None), ("assistant", pair[1], None)]
    return made


def _tools(row: Mapping[str, Any], column: str | None) -> str | None:
    """The tools as JSON text; a bare description of a function becomes one that templates know."""
    value = values.unpacked(row.get(column)) if column else None
    if isinstance(value, list) and any(_bare(tool) for tool in value):
        value = [{"type": "function", "function": tool} if _bare(tool) else tool for tool in value]
        return json.dumps(value, ensure_ascii=False)
    return _json(row, column)


def _bare(tool: Any) -> bool:
    return isinstance(tool, dict) and "name" in tool and "function" not in tool and "type" not in tool


def _json(row: Mapping[str, Any], column: str | None) -> str | None:
    value = values.unpacked(row.get(column)) if column else None
    if not value:
        return None
    if isinstance(value, str):
        raise BadRowError(f'"{column}" is text that is no JSON', "expected a list or an object")
    return json.dumps(value, ensure_ascii=False)
