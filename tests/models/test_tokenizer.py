from __future__ import annotations

from pathlib import Path

import pytest

from align_cli.errors import UsageError
from align_cli.models.tokenizer import load
from tests.models.tiny import CHATML, tiny_model


def test_special_tokens_and_template_are_read_without_transformers(tmp_path: Path) -> None:
    tokenizer = load(tiny_model(tmp_path / "m", pad_token={"content": "<eos>"}))

    assert (tokenizer.eos, tokenizer.pad, tokenizer.chat_template) == ("<|im_end|>", "<eos>", CHATML)


def test_padding_falls_back_to_eos(tmp_path: Path) -> None:
    assert load(tiny_model(tmp_path / "m")).pad == "<|im_end|>"


def test_the_default_of_several_named_templates_is_taken(tmp_path: Path) -> None:
    named = [{"name": "rag", "template": "a"}, {"name": "default", "template": "b"}]

    assert load(tiny_model(tmp_path / "m", template=None, chat_template=named)).chat_template == "b"


def test_a_tokenizer_without_eos_is_a_problem_with_a_fix(tmp_path: Path) -> None:
    (problem,) = load(tiny_model(tmp_path / "m", eos_token=None)).problems()

    assert "has no EOS token" in problem.message
    assert "eos_token" in problem.hint


def test_a_chosen_token_must_be_in_the_vocabulary(tmp_path: Path) -> None:
    tokenizer = load(tiny_model(tmp_path / "m"))

    assert tokenizer.with_special(eos_token="<eos>").problems() == []
    (problem,) = tokenizer.with_special(eos_token="</s>").problems()
    assert problem.where == "eos_token"
    assert '"</s>" is not in the vocabulary' in problem.message


def test_a_special_token_of_the_files_that_the_vocabulary_lacks_gets_the_next_id(tmp_path: Path) -> None:
    tokenizer = load(tiny_model(tmp_path / "m", bos_token="<new>"))

    assert tokenizer.id_of("<new>") == 259  # 256 bytes and three markers come before


def test_added_tokens_get_the_next_ids_and_change_the_digest(tmp_path: Path) -> None:
    tokenizer = load(tiny_model(tmp_path / "m"))

    grown = tokenizer.with_added(["<|im_end|>", "<a>", "<b>"])

    assert [grown.id_of("<a>"), grown.id_of("<b>")] == [259, 260]
    assert grown.added == ("<a>", "<b>")
    assert grown.digest != tokenizer.digest
    assert tokenizer.with_added(["<eos>"]) is tokenizer


def test_the_digest_follows_the_template_file(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "m")
    before = load(folder).digest

    (folder / "chat_template.jinja").write_text("other")

    assert load(folder).digest != before


def test_a_folder_without_a_tokenizer_says_where_to_take_one_from(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")

    with pytest.raises(UsageError, match="has no tokenizer") as caught:
        load(tmp_path)

    assert "tokenizer_name_or_path" in caught.value.hint


def test_a_damaged_tokenizer_is_named(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "m")
    (folder / "tokenizer.json").write_text("{")

    with pytest.raises(UsageError, match=r"tokenizer\.json: this tokenizer cannot be read"):
        load(folder).id_of("x")


@pytest.mark.slow
def test_a_tokenizer_that_transformers_changes_has_the_ids_of_transformers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tokenizers import Tokenizer as Backend
    from transformers import AutoTokenizer

    monkeypatch.setenv("ALIGN_CACHE", str(tmp_path / "cache"))
    # transformers puts an NFC normaliser of its own before the tokenizer of this class.
    folder = tiny_model(tmp_path / "m", tokenizer_class="Qwen2Tokenizer")
    text = "Cafe\u0301"

    ids = load(folder).backend.encode(text).ids

    assert ids == AutoTokenizer.from_pretrained(folder)(text)["input_ids"]
    assert ids != Backend.from_file(str(folder / "tokenizer.json")).encode(text).ids
