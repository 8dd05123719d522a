"""Masks from bytes are masks from offsets."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from align_cli.models import byte_tokens
from align_cli.tasks.preparing import byte_masks
from align_cli.tasks.preparing.encoding import _mask_of_spans

_PIECES = ["a", "Hello", " ", "\n", "\n\n", "é", "😀", " the", "<|im_end|>", "\t", "  ", "世界", "23", "hello hello"]


def tokenizer() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(["hello the hello there, the end\n\n 23 世界 é"] * 20, trainer)
    made.add_special_tokens([AddedToken("<|im_end|>", special=True)])
    return made


TOKENIZER = tokenizer()
spanned = (
    st.lists(st.sampled_from(_PIECES), max_size=12)
    .map("".join)
    .flatmap(lambda text: st.tuples(st.just(text), st.lists(st.integers(0, len(text)), max_size=4).map(sorted)))
)


@settings(deadline=None, max_examples=300)
@given(st.lists(spanned, min_size=1, max_size=4))
def test_bytes_tell_the_same_tokens_as_offsets(rows: list[tuple[str, list[int]]]) -> None:
    texts = [text for text, _ in rows]
    spans = [list(pairwise(borders))[::2] for _, borders in rows]
    encodings = TOKENIZER.encode_batch(texts, add_special_tokens=False)
    ids = np.array([number for one in encodings for number in one.ids], np.int32)
    lengths = np.array([len(one.ids) for one in encodings])
    sizes = byte_tokens.sizes_of(TOKENIZER)
    assert sizes is not None

    found = byte_masks.masks(ids, lengths, sizes, texts, spans)

    wanted = [_mask_of_spans(*pair) for pair in zip(encodings, spans, strict=True)]
    assert found.tolist() == np.concatenate([*wanted, np.zeros(0, bool)]).tolist()


def test_rows_whose_tokens_are_not_their_bytes_are_left_to_offsets() -> None:
    sizes = byte_tokens.sizes_of(TOKENIZER)
    assert sizes is not None

    assert byte_masks.masks(np.array([1, 2], np.int32), np.array([2]), sizes, ["much longer"], [[(0, 2)]]) is None


@pytest.mark.parametrize("change", ["normaliser", "prefix space", "trimmed offsets", "no bytes"])
def test_other_tokenizers_are_left_to_offsets(change: str) -> None:
    made = tokenizer()
    if change == "normaliser":
        made.normalizer = normalizers.Lowercase()
    elif change == "prefix space":
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    elif change == "trimmed offsets":
        made.post_processor = processors.ByteLevel(trim_offsets=True)
    else:
        made.pre_tokenizer = pre_tokenizers.Whitespace()

    assert byte_tokens.sizes_of(made) is None
