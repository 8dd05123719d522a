from __future__ import annotations

import pytest

from align_cli.errors import RecipeError
from align_cli.models import templates
from align_cli.models.templates import Template
from align_cli.tasks.preparing.rendering import Loss, Renderer
from tests.models.tiny import CHATML

CHAT = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Bye"},
    {"role": "assistant", "content": "See you."},
]
#: Drops what the assistant thought in every answer but the last, as reasoning models' templates do.
FORGETFUL = (
    "{% for message in messages %}<{{ message['role'] }}>"
    "{{ message['content'] if loop.last else message['content'].split('</think>')[-1] }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
PICKY = "{% if messages[0]['role'] != 'user' %}{{ raise_exception('begin with a user') }}{% endif %}ok"


def renderer(template: str, loss: Loss = "all", *, insert_empty_system: bool = False) -> Renderer:
    return Renderer(Template(template, "test"), {"eos_token": "</s>"}, loss, None, insert_empty_system)


def test_without_markers_the_answers_are_found_by_rendering_prefixes() -> None:
    made = renderer(CHATML, "assistant").render([{"messages": CHAT}])

    (text,), (spans,) = made.texts, made.spans
    assert [text[start:end] for start, end in spans] == ["Hello.<|im_end|>", "See you.<|im_end|>"]


def test_with_and_without_markers_the_same_answers_are_found() -> None:
    marked = renderer(templates.shipped("chatml").text, "assistant").render([{"messages": CHAT}])

    assert marked == renderer(CHATML, "assistant").render([{"messages": CHAT}])


def test_a_template_that_renders_a_turn_differently_later_is_an_error_with_the_fix() -> None:
    chat = [CHAT[0], {"role": "assistant", "content": "<think>hm</think>Hello."}, *CHAT[2:]]

    with pytest.raises(RecipeError, match="differently once others follow") as caught:
        renderer(FORGETFUL, "assistant").render([{"messages": chat}])

    assert "{% generation %}" in caught.value.hint


def test_a_refused_row_is_named_and_the_others_stay() -> None:
    system = [{"role": "system", "content": "x"}, *CHAT]

    made = renderer(PICKY).render([{"messages": CHAT}, {"messages": system}, {"messages": CHAT}])

    assert made.texts == ["ok", "ok"]
    assert [tuple(refusal) for refusal in made.refused] == [(1, "begin with a user")]


def test_text_and_completions_end_with_eos_once() -> None:
    closing = Renderer(None, {}, "completion", "</s>")

    made = closing.render([{"prompt": "a", "completion": "b"}, {"prompt": "a", "completion": "b</s>"}])

    assert made.texts == ["ab</s>", "ab</s>"]
    assert made.prompts == ["a", "a"]
    assert Renderer(None, {}, "all", "</s>").render([{"text": "a"}, {"text": "a</s>"}]).texts == ["a</s>", "a</s>"]


def test_an_empty_system_turn_is_put_first_where_the_template_knows_system_turns() -> None:
    (text,) = renderer(CHATML, insert_empty_system=True).render([{"messages": CHAT[:2]}]).texts
    (plain,) = renderer("{{ messages | length }}", insert_empty_system=True).render([{"messages": CHAT}]).texts

    assert text.startswith("<|im_start|>system\n<|im_end|>\n<|im_start|>user")
    assert plain == "4"


def test_a_row_brings_its_tools_and_template_variables() -> None:
    row = {"messages": CHAT, "tools": '[{"name": "f"}]', "chat_template_kwargs": {"style": "short"}}

    assert renderer("{{ tools[0].name }} {{ style }}").render([row]).texts == ["f short"]


def test_of_a_chat_completion_the_prompt_is_rendered_with_the_answers_header() -> None:
    made = renderer(CHATML, "completion").render([{"prompt": CHAT[:1], "completion": CHAT[1:2]}])

    assert made.texts[0].startswith(made.prompts[0])
    assert made.texts[0].removeprefix(made.prompts[0]) == "Hello.<|im_end|>\n"
