"""The keys of a task as help text: all of them grouped, one line each, or one with its whole documentation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TextIO

from align_cli.cli.text import columns, fill, is_terminal, prose, style
from align_cli.recipe.fields import Field, groups

_WIDE = 100  # columns from which name, type and help share a line
_INDENT = 2

#: What most recipes set; listed first under its heading.
_OFTEN = (
    "model_name_or_path", "use_peft", "lora_r", "load_in_4bit", "max_length", "packing", "assistant_only_loss",
    "completion_only_loss", "output_dir", "num_train_epochs", "max_steps", "per_device_train_batch_size",
    "gradient_accumulation_steps", "learning_rate", "lr_scheduler_type", "warmup_steps", "eval_strategy", "eval_steps",
    "logging_steps", "report_to", "save_strategy", "save_steps", "save_total_limit", "push_to_hub", "hub_model_id",
    "bf16", "gradient_checkpointing",
)  # fmt: skip


def all_keys(fields: Mapping[str, Field], stream: TextIO) -> str:
    """Every key under its group's heading.

    A wide terminal gets one line per key, cut to fit; a narrow one two; a pipe one whole line per key, for grep.
    """
    width = columns(stream)
    blocks = []
    for group in groups():
        members = [field for field in fields.values() if field.group == group]
        members.sort(key=lambda field: _OFTEN.index(field.name) if field.name in _OFTEN else len(_OFTEN))
        if members:
            heading = style(f"{group[0].upper()}{group[1:]}", "bold", stream)
            blocks.append("\n".join([f"{heading}:", *_lines(members, stream, width)]))
    return "\n\n".join(blocks)


def flags(fields: Mapping[str, Field], stream: TextIO) -> str:
    """Keys that are options as well: `--name` and its help, in the stream's width."""
    width = min(columns(stream), _WIDE)
    room = max(len(name) for name in fields) + 6
    return "\n".join(
        fill(prose(field.help), width, indent=" " * (room + 2), first=f"  {_flag(name):<{room}}")
        for name, field in fields.items()
    )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def one_key(field: Field, stream: TextIO, meanings: Mapping[str, str] | None = None) -> str:
    """One key: type, default, choices, where it is defined, and its documentation.

    `meanings` says what its values are, a line each; choices without one are listed by name.
    """
    meanings = meanings or {}
    width = min(columns(stream), 110)
    rows = [("type", field.annotation), ("default", _default(field) or "none: must be set")]
    if field.choices and not meanings:
        rows.append(("choices", ", ".join(field.choices)))
    rows += [("group", field.group), ("defined in", field.owner.replace(":", "."))]
    lines = [style(field.name, "bold", stream)]
    lines += [fill(value, width, indent=" " * 14, first=f"  {name:<12}") for name, value in rows]
    if field.help:
        lines += ["", fill(prose(field.help), width, indent="  ")]
    if meanings:
        names = [*field.choices, *(name for name in meanings if name not in field.choices)]
        room = max(map(len, names)) + 2
        lines += ["", "  values"]
        lines += [
            fill(meanings.get(name, ""), width, indent=" " * (4 + room), first=f"    {name:<{room}}").rstrip()
            for name in names
        ]
    return "\n".join(lines)


def as_dict(field: Field) -> dict[str, Any]:
    """JSON-able."""
    return {
        "name": field.name,
        "type": field.annotation,
        "default": field.default if field.static else None,
        "default_is_computed": not field.static,
        "choices": list(field.choices),
        "group": field.group,
        "defined_in": field.owner,
        "help": prose(field.help),
    }


def _lines(members: list[Field], stream: TextIO, width: int) -> list[str]:
    whole = not is_terminal(stream)
    name_width = max(len(field.name) for field in members) + _INDENT
    specs = [_spec(field) for field in members]
    spec_width = min(max(len(spec) for spec in specs), 26) + _INDENT
    lines = []
    for field, spec in zip(members, specs, strict=True):
        text = prose(field.help)
        if whole or width >= _WIDE:
            line = f"  {field.name:<{name_width}}{spec:<{spec_width}}"
            line += " " if len(spec) >= spec_width else ""
            lines.append(_painted(field.name, line + (text if whole else _cut(text, width - len(line))), stream))
        else:
            head = f"  {field.name}  {spec}"
            lines.append(_painted(field.name, _cut(head, width) if not whole else head, stream))
            lines += [fill(_cut(text, 2 * (width - 8)), width, indent="      ")] if text else []
    return lines


def _painted(name: str, line: str, stream: TextIO) -> str:
    return f"  {style(name, 'cyan', stream)}{line[2 + len(name) :]}".rstrip()


def _spec(field: Field) -> str:
    default = _default(field)
    return f"{_type(field)} = {default}" if default else _type(field)


def _type(field: Field) -> str:
    """The annotation without what the default says already; choices where they are few."""
    if field.choices and len(" | ".join(field.choices)) <= 24:
        return "|".join(field.choices)
    parts = [part.strip() for part in _split_union(field.annotation)]
    parts = [part for part in parts if part != "None"]
    if len(parts) > 1 and any(part in field.annotation for part in ("Strategy", "SchedulerType", "OptimizerNames")):
        parts = ["choice"]
    short = "|".join(part.replace("[str, Any]", "") for part in parts)
    return short if len(short) <= 24 else f"{short[:23]}…"


def _split_union(annotation: str) -> list[str]:
    """`dict[str, int | str] | None` split at the outer bars only."""
    parts, depth = [""], 0
    for character in annotation:
        depth += (character in "[(") - (character in "])")
        if character == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _default(field: Field) -> str:
    """The default as a recipe would spell it; empty where there is none to know."""
    if not field.static:
        return "(computed)"
    if isinstance(field.default, str):
        return field.default if field.default else '""'
    if isinstance(field.default, float):
        return f"{field.default:g}"
    return json.dumps(field.default, default=str)


def _cut(text: str, width: int) -> str:
    """`text` in at most `width` columns; the cut is visible."""
    return text if len(text) <= width else f"{text[: max(width - 1, 1)].rstrip()}…"
