"""The shapes that rows can have here: the columns of each, and the kind of row that a task knows it by."""

from __future__ import annotations

#: What each shape's rows have, in the order of the tuples that `rows` makes.
#: `turns`: a list of {role, content, extra}; `text`: a string; `flag`: true or false.
COLUMNS: dict[str, tuple[tuple[str, str], ...]] = {
    "messages": (("messages", "turns"), ("tools", "text"), ("chat_template_kwargs", "text")),
    "pair_turns": (("prompt", "turns"), ("completion", "turns"), ("tools", "text"), ("chat_template_kwargs", "text")),
    "pair_text": (("prompt", "text"), ("completion", "text")),
    "text": (("text", "text"),),
    "preference_turns": (
        ("prompt", "turns"),
        ("chosen", "turns"),
        ("rejected", "turns"),
        ("tools", "text"),
        ("chat_template_kwargs", "text"),
    ),
    "preference_text": (("prompt", "text"), ("chosen", "text"), ("rejected", "text")),
    "unpaired_turns": (
        ("prompt", "turns"),
        ("completion", "turns"),
        ("label", "flag"),
        ("tools", "text"),
        ("chat_template_kwargs", "text"),
    ),
    "unpaired_text": (("prompt", "text"), ("completion", "text"), ("label", "flag")),
    "prompt_turns": (("prompt", "turns"), ("tools", "text"), ("chat_template_kwargs", "text")),
    "prompt_text": (("prompt", "text"),),
}
#: Columns that a mixture leaves out when none of its rows has a value there.
OPTIONAL = ("tools", "chat_template_kwargs")

#: Shape -> row kind, as tasks name them.
KINDS = {
    "messages": "messages",
    "pair_turns": "prompt_completion",
    "pair_text": "prompt_completion",
    "text": "text",
    "preference_turns": "preference",
    "preference_text": "preference",
    "unpaired_turns": "unpaired",
    "unpaired_text": "unpaired",
    "prompt_turns": "prompt",
    "prompt_text": "prompt",
}
