"""Dialogues in one text, as anthropics/hh-rlhf writes them: after an empty line, `Human: …` or `Assistant: …`."""

from __future__ import annotations

import re

_TURN = re.compile(r"\n\n(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}


def is_dialogue(text: str) -> bool:
    """Whether the text begins with what a human says."""
    return text.lstrip().startswith("Human:")


def turns(text: str) -> list[tuple[str, str, None]]:
    """The turns of a dialogue, each without the space around it; [] when it does not begin with `Human:`.

    A turn begins after an empty line only: `Human:` inside a line belongs to the line.
    """
    if not is_dialogue(text):
        return []
    pieces = _TURN.split("\n\n" + text.lstrip())
    return [(_ROLES[speaker], said.strip(), None) for speaker, said in zip(pieces[1::2], pieces[2::2], strict=True)]
