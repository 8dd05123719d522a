"""What the profiles of old recipes make of tokens, from the recipe's text on."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from align_cli import registry
from align_cli.mix.build import build
from align_cli.models.tokenizer import load as load_tokenizer
from align_cli.recipe.load import load
from align_cli.recipe.schema import Recipe
from align_cli.tasks.preparing.sequences.packing import buffers
from align_cli.tasks.preparing.settings import Chosen, choose
from align_cli.tasks.preparing.tokens import prepare as prepare_tokens
from tests.models.tiny import CHATML, tiny_model
from tests.tasks.mixtures import KINDS, read_tokens, write_rows

OLD = "dataset_mixer: {rows.jsonl: 1.0}\ndataset_splits: [train]\n"
NEW = "dataset_mixture: {datasets: [{id: rows.jsonl, weight: null}]}\n"
PLAIN = "{% for m in messages %}{{ m.role + ':' + m.content }}{% endfor %}"
OTHER_CHATML = "{% for m in messages %}{{ '<|im_start|>' + m.content + '<|im_end|>' }}{% endfor %}"
#: What trl's ChatML renders.
SAID = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def chat(*contents: str, system: str | None = None) -> dict[str, Any]:
    turns = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(contents)]
    return {"messages": ([{"role": "system", "content": system}] if system is not None else []) + turns}


def recipe(text: str, model: Path, name: str = "sft") -> Recipe:
    Path("recipe.yaml").write_text(f"model_name_or_path: {model}\n{text}")
    return load(["recipe.yaml"], registry.get(registry.TASKS, name))


def chosen(text: str, model: Path, name: str = "sft") -> Chosen:
    return choose(recipe(text, model, name), model, say=lambda line: None)


def sequences(text: str, rows: list[dict[str, Any]], model: Path, name: str = "sft") -> list[str]:
    """The sequences that a recipe makes of these rows, decoded."""
    write_rows(Path("rows.jsonl"), rows)
    made = recipe(text, model, name)
    done = prepare_tokens(made, model, kinds=KINDS)
    tokenizer = choose(made, model, say=lambda line: None).tokenizer
    found = read_tokens(done.folder / "train.arrow")
    return [tokenizer.backend.decode(row["input_ids"], skip_special_tokens=False) for row in found]


# -- templates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", [None, "Be kind."])
def test_a_tokenizer_without_template_got_zephyr_s_and_rows_end_with_another_eos(
    tmp_path: Path, system: str | None
) -> None:
    model = tiny_model(tmp_path / "model", template=None, eos_token="<eos>")
    one = f"<|system|>\n{system or ''}<eos>\n<|user|>\nHi<eos>\n<|assistant|>\nHello<eos>\n<eos>"
    length = len(load_tokenizer(model).backend.encode(one).ids)

    found = sequences(OLD + f"max_length: {length}\n", [chat("Hi", "Hello", system=system)] * 2, model)

    assert found == [one, one]


@pytest.mark.parametrize(
    ("text", "template", "inserted"),
    [
        (OLD, "{{ 'system' if 0 }}" + PLAIN, True),
        (OLD, PLAIN, False),
        (OLD + "auto_insert_empty_system_msg: false\n", "{{ 'system' if 0 }}" + PLAIN, False),
        (NEW, "{{ 'system' if 0 }}" + PLAIN, False),
    ],
)
def test_an_empty_system_turn_is_inserted_where_the_template_knows_one_and_only_in_2023(
    tmp_path: Path, text: str, template: str, inserted: bool
) -> None:
    model = tiny_model(tmp_path / "model", template=template, eos_token="<eos>")

    (found,) = sequences(text + "packing: false\n", [chat("Hi", "Hello")], model)

    assert found.startswith("system:user:Hi" if inserted else "user:Hi")


@pytest.mark.parametrize("name", ["sft", "orpo"])
@pytest.mark.parametrize("where", ["tokenizer", "recipe"])
def test_any_chatml_of_2023_became_trl_s_with_its_tokens(tmp_path: Path, name: str, where: str) -> None:
    own = OTHER_CHATML if where == "tokenizer" else PLAIN
    model = tiny_model(tmp_path / "model", template=own, eos_token="<eos>")
    text = OLD + (f'chat_template: "{OTHER_CHATML}"\n' if where == "recipe" else "")

    found = chosen(text, model, name)

    assert found.template is not None
    assert found.template.render(chat("Hi", "Hello")["messages"], {}) == SAID
    names = ("bos_token", "eos_token", "pad_token")
    assert [found.tokenizer.special[one] for one in names] == ["<|im_start|>", "<|im_end|>", "<|im_end|>"]


def test_tokens_that_the_vocabulary_lacks_are_added(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model", template=OTHER_CHATML, eos_token="<eos>")
    text = (model / "tokenizer.json").read_text().replace("<|im_", "<|in_")
    (model / "tokenizer.json").write_text(text)

    assert chosen(OLD, model).tokenizer.added == ("<|im_start|>", "<|im_end|>")


@pytest.mark.parametrize(
    ("name", "key", "left_alone"),
    [
        ("sft", "model_name_or_path", True),
        ("sft", "tokenizer_name_or_path", True),
        ("orpo", "tokenizer_name_or_path", False),  # its script knew no exception
    ],
)
def test_the_ready_made_tokenizer_for_gemma_is_left_alone_in_sft(
    tmp_path: Path, name: str, key: str, left_alone: bool
) -> None:
    ready = tiny_model(tmp_path / "gemma-tokenizer-chatml", template=OTHER_CHATML, eos_token="<eos>")
    plain = tiny_model(tmp_path / "model", template=PLAIN, eos_token="<eos>")
    base = ready if key == "model_name_or_path" else plain

    found = chosen(OLD + (f"tokenizer_name_or_path: {ready}\n" if base is plain else ""), base, name)

    assert found.tokenizer.eos == ("<eos>" if left_alone else "<|im_end|>")


def test_the_model_s_name_does_not_matter_where_the_tokenizer_has_its_own(tmp_path: Path) -> None:
    named = tiny_model(tmp_path / "gemma-tokenizer-chatml", template=PLAIN, eos_token="<eos>")
    other = tiny_model(tmp_path / "other", template=OTHER_CHATML, eos_token="<eos>")

    assert chosen(OLD + f"tokenizer_name_or_path: {other}\n", named).tokenizer.eos == "<|im_end|>"


def test_dpo_and_cpt_of_2023_leave_tokenizers_as_they_are(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model", template=OTHER_CHATML, eos_token="<eos>")

    for name in ("dpo", "cpt"):
        found = chosen(OLD, model, name)
        assert found.tokenizer.eos == "<eos>"
        assert found.template is not None
        assert found.template.text == OTHER_CHATML


@pytest.mark.parametrize(
    ("template", "key", "replaced"),
    [(None, "", True), (OTHER_CHATML, "", False), (None, f'chat_template: "{OTHER_CHATML}"\n', False)],
)
def test_sft_of_2025_took_chatml_only_where_there_was_no_template(
    tmp_path: Path, template: str | None, key: str, replaced: bool
) -> None:
    model = tiny_model(tmp_path / "model", template=template, eos_token="<eos>")

    found = chosen(NEW + key, model)

    assert found.tokenizer.eos == ("<|im_end|>" if replaced else "<eos>")
    assert found.template is not None
    rendered = found.template.render(chat("Hi", "Hello")["messages"], {})
    assert rendered == (SAID if replaced else "<|im_start|>Hi<|im_end|><|im_start|>Hello<|im_end|>")


@pytest.mark.parametrize("name", ["dpo", "orpo"])
def test_preferences_of_2025_have_no_template_to_fall_back_on(tmp_path: Path, name: str) -> None:
    model = tiny_model(tmp_path / "model", template=None, eos_token="<eos>")

    assert chosen(NEW, model, name).template is None


# -- lengths and packing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "key", "length"),
    [
        (512, "", 512),
        (4096, "", 1024),
        (None, "", 1024),
        (512, "max_seq_length: null\n", 512),
        (512, "max_seq_length: 2048\n", 2048),
    ],
)
def test_a_length_that_nobody_chose_was_1024_or_the_tokenizer_s_own(
    tmp_path: Path, own: int | None, key: str, length: int
) -> None:
    model = tiny_model(tmp_path / "model", **({"model_max_length": own} if own else {}))

    assert chosen(OLD + key, model).settings.max_length == length
    assert chosen(OLD + key, model, "cpt").settings.max_length == length


def test_plain_text_of_2023_was_one_stream_with_eos_between_rows_and_no_short_end(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model", template=CHATML, eos_token="<eos>")

    found = sequences(OLD + "max_seq_length: 4\nseed: 3\n", [{"text": "abc"}] * 3 + [{"text": "xy"}], model, "cpt")

    assert all(len(text.replace("<eos>", "e")) == 4 for text in found)
    assert len(found) == 3
    assert "".join(found).count("<eos>") >= 3


def test_nothing_is_packed_in_2025_unless_asked_for(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model", template=None, eos_token="<eos>")

    assert sequences(NEW, [chat("Hi", "Hello")], model) == [SAID]


@pytest.mark.parametrize(
    ("word", "ends"), [("append_concat_token: false", "<eos>\n"), ("add_special_tokens: false", "<eos>\n<eos>")]
)
def test_two_words_of_dataset_kwargs_steer_the_packing(tmp_path: Path, word: str, ends: str) -> None:
    model = tiny_model(tmp_path / "model", template=None, eos_token="<eos>")
    one = "<|system|>\nS<eos>\n<|user|>\nHi<eos>\n<|assistant|>\nHello" + ends
    length = len(load_tokenizer(model).backend.encode(one).ids)

    found = sequences(
        OLD + f"max_seq_length: {length}\ndataset_kwargs: {{{word}}}\n", [chat("Hi", "Hello", system="S")], model
    )

    assert found == [one]


def _by_trl(rows: list[list[int]], characters: list[int], length: int, limit: float) -> list[list[int]]:
    """Rows packed as trl 0.9 did it: buffers of texts, each cut for itself, its end thrown away."""
    packed: list[list[int]] = []
    waiting, held = [], 0
    for row, count in zip(rows, characters, strict=True):
        if held >= limit:
            packed += _cut(waiting, length)
            waiting, held = [], 0
        waiting += row
        held += count
    return packed + _cut(waiting, length)


def _cut(tokens: list[int], length: int) -> list[list[int]]:
    return [tokens[at : at + length] for at in range(0, len(tokens) - length + 1, length)]


def test_packing_begins_anew_after_each_buffer_of_characters(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model", template=CHATML, eos_token="<eos>")
    draw = random.Random(5)
    texts = ["".join(draw.choices("abc ", k=draw.randint(1, 3000))).strip() or "a" for _ in range(120)]
    write_rows(Path("rows.jsonl"), [{"text": text} for text in texts])
    length = 8
    made = recipe(OLD + f"max_seq_length: {length}\n", model, "cpt")

    done = prepare_tokens(made, model, kinds=KINDS)

    order = [row["place"] for row in read_tokens(build(made.mixture, KINDS).folder / "train.arrow")]
    tokenizer = load_tokenizer(model)
    rows = [[*tokenizer.backend.encode(texts[place]).ids, tokenizer.id_of("<eos>") or 0] for place in order]
    counts = [len(texts[place]) for place in order]
    expected = _by_trl(rows, counts, length, length * 3.6 * 1024)
    assert sum(counts) > 3 * length * 3.6 * 1024
    assert [row["input_ids"] for row in read_tokens(done.folder / "train.arrow")] == expected


@pytest.mark.parametrize(
    ("characters", "limit", "begins"),
    [
        ([], 5, []),
        ([9, 9, 9], 5, [0, 1, 2]),
        ([2, 3, 4, 1, 1], 5, [0, 2, 4]),
        ([5, 5], 5, [0, 1]),
        ([2, 2, 2], 5, [0]),
        ([0, 0, 6, 0], 5, [0, 3]),
        ([1, 2], 99, [0]),
    ],
)
def test_a_buffer_takes_rows_until_it_holds_enough(characters: list[int], limit: float, begins: list[int]) -> None:
    assert buffers(np.array(characters, np.int64), limit).tolist() == begins
