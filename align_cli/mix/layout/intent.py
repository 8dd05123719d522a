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


#: Kind of rows -> what such rows look like, and who trains on them.
_MEANT = {
    "preference": "preference pairs, which `align train dpo` trains on",
    "unpaired": "judged answers, which `align train kto` trains on",
    "messages": "conversations, which `align train sft` trains on",
    "prompt_completion": "prompts with answers, which `align train sft` trains on",
    "text": "plain text, which `align train cpt` trains on",
}
#: Kind of rows -> how to name their columns.
_NAMED = {
    "messages": "columns: {prompt: THEIRS, completion: THEIRS} or columns: {messages: THEIRS}",
    "preference": "columns: {prompt: THEIRS, chosen: THEIRS, rejected: THEIRS}",
    "unpaired": "columns: {prompt: THEIRS, completion: THEIRS, label: THEIRS}",
    "prompt": "columns: {prompt: THEIRS}",
    "text": "columns: {text: THEIRS}",
}


def advice(
    rows: Sequence[Mapping[str, Any]],
    present: Sequence[str],
    source: Source,
    kinds: Sequence[str],
    *,
    nearest: str,
    bad_flag: str,
    meant_for: str,
) -> str:
    """What to do about rows that fit nothing.

    `nearest` is the kind of the layout that most is there of; `bad_flag` the column of its label, where that is all
    that is wrong; `meant_for` a kind that the rows do fit and that the task does not train on.
    """
    imitates = {"messages", "prompt_completion"} & set(kinds)
    if _are_pairs(present) and "preference" not in kinds:
        hint = f"these look like {_MEANT['preference']}"
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
    if bad_flag:
        said = f'write "{bad_flag}" as true or false (1 or 0, yes or no)'
        return f"{said}, or name the column that says which answers are good: columns: {{label: THEIRS}}"
    if kinds == ("text",):
        name = "name the column: columns: {text: YOUR_COLUMN}"
        return f"these look like {_MEANT[meant_for]}; to learn a column as text, {name}" if meant_for else name
    if meant_for:
        return f"these look like {_MEANT[meant_for]}"
    if imitates:
        return f"name the columns, e.g. {_NAMED['messages']}"
    wanted = nearest if nearest in kinds else kinds[0]
    return f"name the {'column' if wanted == 'prompt' else 'columns'}, e.g. {_NAMED[wanted]}"
