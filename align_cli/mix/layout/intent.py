"""What rows look to be meant for: so that a task does not learn what its author would not want, and errors help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from align_cli.mix.layout import values
from align_cli.mix.layout.values import unpacked
from align_cli.recipe.schema import Source

if TYPE_CHECKING:
    from align_cli.mix.layout.layouts import Fit

#: Layout names that say how a text file becomes rows; their rows then have the layout `text`.
TEXT_LAYOUTS = ("lines", "paragraphs", "documents")


def doubt(fit: Fit, rows: Sequence[Mapping[str, Any]], present: Sequence[str], source: Source) -> str:
    """Why rows that fit a layout for imitation are likely meant for something else; "" when they are not.

    A recipe that names the layout or the columns knows what it does.
    """
    if fit.layout.kind not in ("messages", "prompt_completion", "text") or source.columns:
        return ""
    if source.layout and source.layout not in TEXT_LAYOUTS:
        return ""
    if _are_pairs(present):
        # The conversations of ultrafeedback_binarized stand whole beside its pairs.
        column = fit.picks.get("messages", "")
        cells = [unpacked(row.get(column)) for row in rows] if column == "messages" else []
        last = [cell[-1] for cell in cells if cell and isinstance(cell, list)]
        roles = [str(turn.get(fit.role)) for turn in last if isinstance(turn, dict)]
        if not roles or any(fit.layout.roles.get(role, role) != "assistant" for role in roles):
            return "the rows are preference pairs"
    for column in ("label", "kto_tag"):
        if column in present and fit.layout.kind != "text" and not source.where:
            cells = [row[column] for row in rows if row.get(column) is not None]
            if cells and all(isinstance(cell, bool) for cell in cells):
                return f'"{column}" says which rows are good, and this task would learn all of them'
    return ""


def _are_pairs(present: Sequence[str]) -> bool:
    return any({f"chosen{end}", f"rejected{end}"} <= set(present) for end in ("", "_messages"))


def advice(rows: Sequence[Mapping[str, Any]], present: Sequence[str], source: Source, kinds: Sequence[str]) -> str:
    """What to do about rows that fit nothing."""
    imitates = {"messages", "prompt_completion"} & set(kinds)
    if _are_pairs(present) and "preference" not in kinds:
        hint = "these look like preference pairs, which `align train dpo` trains on"
        if not imitates:
            return hint
        chosen = "chosen" if "chosen" in present else "chosen_messages"
        cells = [row[chosen] for row in rows if row.get(chosen) is not None]
        if any(isinstance(unpacked(cell), list) for cell in cells):
            return f"{hint}; to learn the better side: columns: {{messages: {chosen}}}"
        if values.unlike("dialogue", cells) is None:
            return f"{hint}; to learn the better side: layout: hh_rlhf, columns: {{messages: {chosen}}}"
        if any(isinstance(cell, dict) for cell in cells):
            return hint
        prompt = "{completion: chosen}" if "prompt" in present else "{prompt: THEIRS, completion: chosen}"
        return f"{hint}; to learn the better side: columns: {prompt}"
    if {"completions", "labels"} <= set(present) and any(isinstance(row.get("labels"), list) for row in rows):
        return "these look like judged steps (stepwise supervision), which no task here trains on"
    label = next((column for column in ("label", "kto_tag") if column in present), None)
    if label and imitates and all(isinstance(row.get(label), bool) for row in rows):
        return f"learn from the good ones: where: {label}; or from all: layout: messages"
    if kinds == ("text",):
        return "name the column: columns: {text: YOUR_COLUMN}"
    if imitates:
        return "name the columns, e.g. columns: {prompt: THEIRS, completion: THEIRS} or columns: {messages: THEIRS}"
    if "preference" in kinds:
        return "name the columns, e.g. columns: {prompt: THEIRS, chosen: THEIRS, rejected: THEIRS}"
    if "unpaired" in kinds:
        return "name the columns, e.g. columns: {prompt: THEIRS, completion: THEIRS, label: THEIRS}"
    return "name the column, e.g. columns: {prompt: THEIRS}"
