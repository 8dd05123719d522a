"""Our rendering of chat templates is transformers' rendering, text and generation spans alike."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from align_cli.models import templates
from align_cli.models.templates import Template, TemplateRefusal, normalised

pytestmark = pytest.mark.slow

VARIABLES = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
CHATS: list[list[dict[str, Any]]] = [
    [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}],
    [
        {"role": "system", "content": "Be <brief> & kind."},
        {"role": "user", "content": " 2 + 2?\n"},
        {"role": "assistant", "content": "4", "reasoning_content": "two and two"},
        {"role": "user", "content": "Sure? 😀"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nYes."},
    ],
    [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Köln"}}}],
        },
        {"role": "tool", "name": "weather", "content": "rain"},
        {"role": "assistant", "content": "It rains.", "name": None},
    ],
]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


def real_templates() -> list[Path]:
    spec = find_spec("trl")
    assert spec is not None
    assert spec.submodule_search_locations
    files = sorted(Path(spec.submodule_search_locations[0], "chat_templates").glob("*.jinja"))
    return [*files, *sorted(Path(templates.__file__).parent.glob("*.jinja"))]


def test_there_are_many_templates_to_compare() -> None:
    assert len(real_templates()) > 40


@pytest.mark.parametrize("file", real_templates(), ids=lambda file: file.stem)
def test_a_real_template_renders_as_in_transformers(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    ours = Template(text, file.name)

    for chat in CHATS:
        for tools in (None, TOOLS):
            for prompt in (False, True):
                expected, _ = upstream(text, chat, tools, add_generation_prompt=prompt)
                assert render(ours, chat, tools, add_generation_prompt=prompt) == expected
            expected, spans = upstream(text, chat, tools, return_assistant_tokens_mask=True)
            if expected is not None:
                assert ours.render_spans(chat, VARIABLES | {"tools": tools}) == (expected, spans)


def render(ours: Template, chat: list[dict[str, Any]], tools: Any, *, add_generation_prompt: bool) -> str | None:
    try:
        return ours.render(chat, VARIABLES | {"tools": tools}, add_generation_prompt=add_generation_prompt)
    except TemplateRefusal:
        return None


def upstream(text: str, chat: list[dict[str, Any]], tools: Any, **options: Any) -> tuple[str | None, list[Any]]:
    """What transformers makes of it; None where the template refuses the conversation."""
    from jinja2 import TemplateError
    from transformers.utils.chat_template_utils import render_jinja_template

    # apply_chat_template drops null fields before it renders
    bare = [{key: value for key, value in turn.items() if value is not None} for turn in chat]
    try:
        rendered, spans = render_jinja_template([bare], tools=tools, chat_template=text, **options, **VARIABLES)
    except (TemplateError, TypeError, ValueError, AttributeError):
        return None, []
    return rendered[0], spans[0] if spans else []


def test_null_fields_and_reasoning_are_prepared_as_in_transformers() -> None:
    from transformers.utils.chat_template_utils import _alias_reasoning_fields

    turn = {"role": "assistant", "content": "4", "thinking": "2 + 2"}

    assert normalised([turn | {"tool_calls": None}]) == _alias_reasoning_fields([turn])


def test_the_training_variants_are_those_that_trl_swaps_in() -> None:
    from types import SimpleNamespace

    from trl import chat_template_utils as upstream_templates

    found = 0
    for file in real_templates():
        template = Template(file.read_text(encoding="utf-8"), file.name)
        variant = templates.training_variant(template)
        if variant is None or template.has_markers:
            continue
        found += 1
        tokenizer = SimpleNamespace(chat_template=template.text, apply_chat_template=lambda *a, **k: [])
        assert upstream_templates.get_training_chat_template(tokenizer).rstrip("\n") == variant.text.rstrip("\n")
    assert found > 20
