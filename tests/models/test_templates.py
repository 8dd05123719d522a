from __future__ import annotations

from pathlib import Path

import pytest

from align_cli.errors import RecipeError
from align_cli.models import templates
from align_cli.models.templates import Template, TemplateRefusal

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello."},
]
EOS = {"eos_token": "</s>"}


def test_zephyr_renders_the_handbooks_format() -> None:
    text = templates.shipped("zephyr").render(CHAT, EOS)

    assert text == "<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\nHello.</s>\n"


def test_chatml_renders_turns_between_its_markers() -> None:
    text = templates.shipped("chatml").render(CHAT[1:], {}, add_generation_prompt=True)

    assert text == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>assistant\n"


def test_the_system_text_that_a_template_puts_by_itself_is_found() -> None:
    insisting = (
        "{% if messages[0]['role'] != 'system' %}<s>system\nYou are helpful.</s>\n{% endif %}"
        "{% for turn in messages %}<s>{{ turn['role'] }}\n{{ turn['content'] }}</s>\n{% endfor %}"
    )
    into_the_user = "{% for turn in messages %}<s>{{ turn['content'] }}\n{% endfor %}"
    refusing = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}Hi"

    assert Template(insisting, "test").default_system({}) == "You are helpful."
    for text in (templates.shipped("chatml").text, templates.shipped("zephyr").text, into_the_user, refusing):
        assert Template(text, "test").default_system(EOS) is None


@pytest.mark.parametrize(("name", "said"), [("zephyr", "Hello.</s>"), ("chatml", "Hello.<|im_end|>")])
def test_a_shipped_template_marks_the_answer_with_its_end(name: str, said: str) -> None:
    text, spans = templates.shipped(name).render_spans([*CHAT, *CHAT[1:]], EOS)

    assert [text[start:end] for start, end in spans] == [said, said]


@pytest.mark.parametrize("name", templates.SHIPPED)
def test_a_shipped_template_renders_the_beginning_of_a_conversation_as_its_beginning(name: str) -> None:
    template = templates.shipped(name)

    prompt = template.render(CHAT[:2], EOS, add_generation_prompt=True)

    assert template.render(CHAT, EOS).startswith(prompt)


def test_a_template_that_raises_gives_its_own_words() -> None:
    template = Template("{{ raise_exception('roles must alternate') }}", "test")

    with pytest.raises(TemplateRefusal, match="roles must alternate"):
        template.render(CHAT, EOS)


def test_a_template_cannot_reach_python() -> None:
    template = Template("{{ ''.__class__.__mro__[1].__subclasses__() }}", "test")

    with pytest.raises(TemplateRefusal):
        template.render(CHAT, EOS)


def test_a_broken_template_names_its_line() -> None:
    template = Template("{{ eos_token }}\n{% if %}", "my.jinja")

    with pytest.raises(RecipeError, match=r"my\.jinja: line 2"):
        template.render(CHAT, EOS)


def test_the_recipe_wins_over_the_tokenizer_and_the_tokenizer_over_the_profile(tmp_path: Path) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text("{{ messages }}")

    def chosen(**keys: str | None) -> str:
        given = {"chat_template": None, "chat_template_path": None, "of_tokenizer": None, **keys}
        template = templates.resolve(**given)  # type: ignore[arg-type]
        assert template is not None
        return template.source

    assert chosen(chat_template="zephyr", of_tokenizer="{{ 1 }}") == "zephyr (shipped)"
    assert chosen(chat_template="{{ 2 }}", of_tokenizer="{{ 1 }}") == "chat_template"
    assert chosen(chat_template_path=str(file), of_tokenizer="{{ 1 }}") == str(file)
    assert chosen(of_tokenizer="{{ 1 }}", otherwise="zephyr") == "the tokenizer"
    assert chosen(otherwise="zephyr") == "zephyr (shipped)"


def test_two_templates_in_one_recipe_are_refused() -> None:
    with pytest.raises(RecipeError, match="both set"):
        templates.resolve(chat_template="zephyr", chat_template_path="x.jinja", of_tokenizer=None)


def test_a_template_file_that_does_not_exist_is_named() -> None:
    with pytest.raises(RecipeError, match=r"there is no file nowhere\.jinja"):
        templates.resolve(chat_template="nowhere.jinja", chat_template_path=None, of_tokenizer=None)


def test_the_digest_of_a_template_that_prints_the_date_follows_the_date() -> None:
    dated = Template("{{ strftime_now('%Y') }}", "test")

    assert dated.digest != templates.digest_of([dated.text, ""])
    assert Template("{{ eos_token }}", "a").digest == Template("{{ eos_token }}", "b").digest
