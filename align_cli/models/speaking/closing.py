"""With which token a chat template closes the assistant's turn: where generation has to stop."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from align_cli.models.templates import Template, TemplateRefusal

_ANSWER = "the answer that is closed"


def closing_token(template: Template, special: Mapping[str, str], tokens: Collection[str]) -> str | None:
    """The first of `tokens` (those outside the learned merges) right after an answer; None where there is none.

    `special` are the special tokens by name, as the template sees them. Line breaks before the token do not count;
    anything else does: the model then ends its turn with words, or the template refuses to say.
    """
    turns = [{"role": "user", "content": "a question"}, {"role": "assistant", "content": _ANSWER}]
    try:
        text = template.render(turns, special)
    except TemplateRefusal:
        return None
    rest = text.partition(_ANSWER)[2].lstrip()
    return max((token for token in tokens if token and rest.startswith(token)), key=len, default=None)
