"""What the judge is sent: the prompts of the original's annotators, filled in.

Source: alpaca_eval 0.6.6, evaluators_configs/{alpaca_eval_clf_gpt4_turbo,alpaca_eval_gpt4} and utils.prompt_to_chatml.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from align_cli.errors import DataError

_MESSAGE = re.compile(r"<\|im_start\|>(\w+)[ \t]*\n(.*?)<\|im_end\|>", re.DOTALL)
_PLACE = re.compile(r"\{(instruction|output_1|output_2)\}")


def messages(path: Path, instruction: str, outputs: Sequence[str]) -> tuple[Mapping[str, str], ...]:
    """The prompt's messages with an instruction and two answers in the order shown.

    All places are filled in one pass, after the prompt is cut into messages. The original fills them one after the
    other before that, so an instruction that contains `{output_1}`, or an answer with `<|im_end|>`, upsets it.
    """
    values = {"instruction": instruction, "output_1": outputs[0], "output_2": outputs[1]}
    return tuple(
        {"role": role, "content": _PLACE.sub(lambda place: values[place[1]], text)} for role, text in _template(path)
    )


@cache
def _template(path: Path) -> Sequence[tuple[str, str]]:
    """Role and text of each message; ChatML as the original's prompts are written in."""
    found = [(role, text.strip()) for role, text in _MESSAGE.findall(path.read_text(encoding="utf-8"))]
    if not found:
        raise DataError(f"{path}: this is no prompt in ChatML")
    return found
