from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from align_cli.models.templates import Template, shipped
from align_cli.models.tokenizer import Tokenizer, load
from align_cli.tasks.preparing.encoding import Encoded, encode, stop_token
from align_cli.tasks.preparing.rendering import Loss, Renderer, Rendering
from tests.models.tiny import CHATML, tiny_model

ROWS = st.lists(st.lists(st.booleans(), max_size=12), max_size=12)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return load(tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


def encoded(rows: list[list[bool]]) -> Encoded:
    """Rows of consecutive ids with these loss masks."""
    flat = [bit for row in rows for bit in row]
    return Encoded(
        np.arange(len(flat), dtype=np.int32), np.array(flat, bool), np.array([len(r) for r in rows], np.int64)
    )


def split(batch: Encoded) -> list[list[tuple[int, bool]]]:
    pairs = list(zip(batch.ids.tolist(), batch.trained.tolist(), strict=True))
    return [pairs[s : s + n] for s, n in zip(batch.starts.tolist(), batch.lengths.tolist(), strict=True)]


@given(ROWS, st.integers(1, 8), st.booleans())
def test_truncation_keeps_one_end_of_every_row(rows: list[list[bool]], limit: int, keep_end: bool) -> None:
    batch = encoded(rows)

    cut = split(batch.truncated(limit, keep_end=keep_end))

    assert cut == [row[-limit:] if keep_end else row[:limit] for row in split(batch)]


@given(ROWS)
def test_selection_keeps_whole_rows(rows: list[list[bool]]) -> None:
    batch = encoded(rows)
    wanted = batch.trained_per_row() > 0

    assert batch.trained_per_row().tolist() == [sum(row) for row in rows]
    assert split(batch.select(wanted)) == [row for row in split(batch) if any(bit for _, bit in row)]


def test_tokens_inside_a_span_are_trained_and_no_others(tokenizer: Tokenizer) -> None:
    rendering = Rendering(texts=["ab<|im_end|>cd"], spans=[[(1, 12)]])

    batch = encode(rendering, tokenizer, add_special_tokens=False, append=None)

    trained = batch.ids[batch.trained].tolist()
    assert tokenizer.backend.decode(trained, skip_special_tokens=False) == "b<|im_end|>"


def test_white_space_at_the_edge_of_a_span_does_not_lose_the_rest_of_it(tokenizer: Tokenizer) -> None:
    # This tokenizer reports no characters for white space; transformers then finds no token at the span's start.
    text = "x  a\n<|im_end|>  b\n"
    rendering = Rendering(texts=[text], spans=[[(1, 15), (15, len(text))]])

    batch = encode(rendering, tokenizer, add_special_tokens=False, append=None)

    assert batch.trained.tolist() == [False] + [True] * (len(batch.ids) - 1)


def test_the_prompt_is_masked_up_to_where_the_completion_differs(tokenizer: Tokenizer) -> None:
    rendering = Rendering(texts=["abcd", "abX"], prompts=["ab", "abc"])

    batch = encode(rendering, tokenizer, add_special_tokens=False, append=None)

    assert batch.trained.tolist() == [False, False, True, True, False, False, True]
    assert batch.merged is not None
    assert batch.merged.tolist() == [False, True]


def test_a_token_can_be_appended_to_every_row(tokenizer: Tokenizer) -> None:
    eos = tokenizer.id_of("<eos>")
    rendering = Rendering(texts=["a", "b<eos>"])

    batch = encode(rendering, tokenizer, add_special_tokens=False, append=eos)

    assert batch.lengths.tolist() == [2, 3]
    assert batch.ids[[1, 3, 4]].tolist() == [eos, eos, eos]


@pytest.mark.parametrize(
    ("template", "loss", "expected"),
    [
        (CHATML, "all", ("<|im_end|>", True)),
        (CHATML, "assistant", ("<|im_end|>", True)),
        (shipped("chatml").text, "assistant", ("<|im_end|>", True)),
        (
            "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}<|im_end|>{% endfor %}",
            "assistant",
            ("<|im_end|>", False),
        ),
        ("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}", "all", (None, False)),
    ],
    ids=["full loss", "derived", "marked", "end outside the marks", "no special token"],
)
def test_the_token_that_ends_an_answer_is_found(
    template: str, loss: Loss, expected: tuple[str | None, bool], tokenizer: Tokenizer
) -> None:
    renderer = Renderer(Template(template, "test"), tokenizer.special, loss, None)

    assert stop_token(renderer, tokenizer) == expected
