"""The end of `align eval … generate` and `judge`: what was done, and what to type next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.console import RenderableType

from align_cli.cli.render.page import count, duration, emit, heading, lines, pairs


def answered(document: Mapping[str, Any], following: Sequence[str], stream: TextIO) -> None:
    """The answers that were made, and those that were there."""
    rows = [("evaluation", document["evaluation"])]
    made = document["answered"]
    if made:
        pace = document["tokens"] / document["seconds"] if document["seconds"] else 0.0
        rows.append(("answered", f"{count(made, 'turn')} now, {document['were_there']} were there"))
        rows.append(("speed", f"{document['tokens']:,} tokens in {duration(document['seconds'])}, {pace:,.0f}/s"))
        rows += _odd(document["states"])
    else:
        rows.append(("answered", f"nothing to do: all {count(document['were_there'], 'turn')} are there"))
    _emit("Answers", rows, document["notes"], following, stream)


def judged(document: Mapping[str, Any], following: Sequence[str], stream: TextIO) -> None:
    """The judgments that were made, and those that were there."""
    rows = [("evaluation", path) for path in document["evaluations"]]
    asked = document["asked"]
    if asked:
        taken = f", {document['taken_over']} of them without asking" if document["taken_over"] else ""
        rows.append(("judged", f"{count(asked, 'answer')} now{taken}, {document['were_there']} were there"))
        if document["spent_usd"] is not None:
            rows.append(("spent", f"${document['spent_usd']:,.4f}"))
        rows.append(("time", duration(document["seconds"], fine=True)))
        rows += _odd(document["states"])
    else:
        rows.append(("judged", f"nothing was asked; {count(document['were_there'], 'judgment')} are there"))
        rows += _estimated(document["estimate"])
    if document["unanswered_turns"]:
        rows.append(("unanswered", f"{count(document['unanswered_turns'], 'turn')} have no answer, so no judgment"))
    _emit("Judgments", rows, document["notes"], following, stream)


def _estimated(estimate: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the requests that are missing would take."""
    if not estimate["requests"]:
        return []
    rows = [("missing", count(estimate["requests"], "request"))]
    rows.append(("tokens", f"about {estimate['prompt_tokens']:,} in and {estimate['completion_tokens']:,} out"))
    if estimate["likely"] is not None:
        most = f", at most ${estimate['at_most']:,.2f}" if estimate["at_most"] is not None else ""
        rows.append(("cost", f"about ${estimate['likely']:,.2f}{most}"))
    return [*rows, ("counted", estimate["how"])]


def _odd(states: Mapping[str, int]) -> list[tuple[str, str]]:
    """States that somebody should know of."""
    return [(state.replace("_", " "), str(number)) for state, number in states.items() if state != "ok"]


def _emit(
    title: str, rows: list[tuple[str, str]], notes: Sequence[str], following: Sequence[str], stream: TextIO
) -> None:
    blocks: list[RenderableType] = [heading(title), pairs([*rows, *(("next", step) for step in following)])]
    if notes:
        blocks += [heading("Notes"), lines(notes)]
    emit(stream, *blocks)
