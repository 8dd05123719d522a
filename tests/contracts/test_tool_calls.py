"""Conversations with tool calls and reasoning become the text of transformers and the tokens of TRL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from align_cli.models.tokenizer import load
from tests.contracts.test_tokens import folder, model, upstream
from tests.tasks.mixtures import prepare, read_tokens

__all__ = ["folder", "model"]

pytestmark = pytest.mark.slow

#: Prints whatever a turn has, as JSON where it is no text.
TEMPLATE = """{% for m in messages %}<|im_start|>{{ m.role }}{% if m.name %} {{ m.name }}{% endif %}
{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}
{{ m.content or '' }}{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}{% if m.tool_call_id is defined %}
({{ m.tool_call_id }}){% endif %}<|im_end|>
{% endfor %}{% if tools %}{{ tools | tojson }}{% endif %}"""
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "", "parameters": {"type": "object"}}}]
CALL = {"id": "7", "type": "function", "function": {"name": "weather", "arguments": {"city": "Rom", "days": 2}}}
ROWS: list[dict[str, Any]] = [
    {
        "messages": [
            {"role": "user", "content": "Sun?"},
            {"role": "assistant", "content": None, "reasoning_content": "I ask.", "tool_calls": [CALL]},
            {"role": "tool", "content": '{"sun": "yes"}', "name": "weather", "tool_call_id": "7"},
            {"role": "assistant", "content": "Yes."},
        ],
        "tools": TOOLS,
    }
]


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "calls.jinja"
    path.write_text(TEMPLATE)
    return path


def test_the_text_is_that_of_transformers(folder: Path, template: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    done = prepare(ROWS, folder, tmp_path, chat_template_path=str(template))

    tokenizer = AutoTokenizer.from_pretrained(folder)
    expected = tokenizer.apply_chat_template(ROWS[0]["messages"], tools=TOOLS, chat_template=TEMPLATE, tokenize=False)
    (row,) = read_tokens(done.folder / "train.arrow")
    assert load(folder).backend.decode(row["input_ids"], skip_special_tokens=False) == expected
    assert '"city": "Rom"' in expected


def test_the_tokens_are_those_of_trl(folder: Path, model: Any, template: Path, tmp_path: Path) -> None:
    ours = prepare(ROWS, folder, tmp_path, chat_template_path=str(template))

    theirs = upstream(model, folder, ROWS, tmp_path, chat_template_path=str(template))

    assert read_tokens(ours.folder / "train.arrow") == [
        {"input_ids": row["input_ids"], "labels": row["labels"]} for row in theirs
    ]
