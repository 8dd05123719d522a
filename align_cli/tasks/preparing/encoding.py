"""Texts become token ids and a loss mask, a batch at a time, as flat arrays."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from align_cli.models.templates import Span, TemplateRefusal
from align_cli.models.tokenizer import Tokenizer
from align_cli.tasks.preparing import byte_masks
from align_cli.tasks.preparing.rendering import Renderer, Rendering, sample_conversation

if TYPE_CHECKING:
    import numpy as np

#: Label of a token that carries no loss.
IGNORED = -100


@dataclass
class Encoded:
    """Token ids of a batch end to end, how long each row is, and which tokens are in the loss."""

    ids: np.ndarray
    """(tokens,) int32"""
    trained: np.ndarray
    """(tokens,) bool"""
    lengths: np.ndarray
    """(rows,) int64"""
    merged: np.ndarray | None = None
    """(rows,) bool: prompts whose own tokens are not the first tokens of the row; only as `encode` made it."""

    @property
    def starts(self) -> np.ndarray:
        """(rows,) int64: where each row begins in `ids`."""
        starts: np.ndarray = self.lengths.cumsum() - self.lengths
        return starts

    def trained_per_row(self) -> np.ndarray:
        """(rows,) int64: number of tokens in the loss."""
        import numpy as np

        total = np.concatenate(([0], np.cumsum(self.trained, dtype=np.int64)))
        counts: np.ndarray = total[self.starts + self.lengths] - total[self.starts]
        return counts

    def select(self, rows: np.ndarray) -> Encoded:
        """Only the rows where `rows` (bool) is true."""
        import numpy as np

        if rows.all():
            return self
        tokens: np.ndarray = np.repeat(rows, self.lengths)
        return Encoded(self.ids[tokens], self.trained[tokens], self.lengths[rows])

    def truncated(self, max_length: int, *, keep_end: bool) -> Encoded:
        """Every row cut to `max_length` tokens, keeping its start or its end."""
        import numpy as np

        if not len(self.lengths) or self.lengths.max() <= max_length:
            return self
        position = np.arange(len(self.ids)) - np.repeat(self.starts, self.lengths)
        if keep_end:
            kept = position >= np.repeat(self.lengths - max_length, self.lengths)
        else:
            kept = position < max_length
        return Encoded(self.ids[kept], self.trained[kept], np.minimum(self.lengths, max_length))


def encode(rendering: Rendering, tokenizer: Tokenizer, *, add_special_tokens: bool, append: int | None) -> Encoded:
    """Token ids and loss mask of a rendered batch. `append` is a token id put after every row, in the loss."""
    import numpy as np

    backend = tokenizer.backend
    rows = [
        encoding.ids for encoding in backend.encode_batch_fast(rendering.texts, add_special_tokens=add_special_tokens)
    ]
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    ids = np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum()))
    trained: np.ndarray | None = np.ones(len(ids), bool)
    if rendering.spans:
        sizes = tokenizer.token_bytes
        trained = None
        if sizes is not None:
            trained = byte_masks.masks(ids, lengths, sizes, rendering.texts, rendering.spans)
        if trained is None:  # offsets tell it for every tokenizer, and cost as much as the tokens
            encodings = backend.encode_batch(rendering.texts, add_special_tokens=add_special_tokens)
            found = [_mask_of_spans(*pair) for pair in zip(encodings, rendering.spans, strict=True)]
            trained = np.concatenate([*found, np.zeros(0, bool)])
    assert trained is not None
    merged = np.zeros(len(rows), bool)
    if rendering.prompts:
        prompts = backend.encode_batch_fast(rendering.prompts, add_special_tokens=add_special_tokens)
        start = 0
        for index, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
            alone = prompt.ids
            shared = common_prefix(alone, row)
            merged[index] = shared < len(alone)
            trained[start : start + shared] = False
            start += len(row)
    encoded = Encoded(ids, trained, lengths, merged)
    return encoded if append is None else _appended(encoded, append)


class StopToken(NamedTuple):
    """The token with which a template ends the assistant's turn, and whether the loss contains it."""

    text: str | None
    trained: bool


def stop_token(renderer: Renderer, tokenizer: Tokenizer) -> StopToken:
    """How the template ends an answer; no text if it uses no special token for that or refuses to say."""
    messages = sample_conversation()
    masked = "assistant" in renderer.loss
    try:
        text, spans = renderer.assistant_spans(messages, renderer.variables) if masked else (_whole(renderer), [])
    except TemplateRefusal:
        return StopToken(None, False)
    encoding = tokenizer.backend.encode(text, add_special_tokens=False)
    end = text.find("dummy answer") + len("dummy answer")
    next_turn = text.rfind("dummy question")
    for token, (start, _) in enumerate(encoding.offsets):
        if end <= start < next_turn and encoding.ids[token] in tokenizer.added_ids:
            trained = not masked or bool(_mask_of_spans(encoding, spans)[token])
            return StopToken(tokenizer.backend.id_to_token(encoding.ids[token]), trained)
    return StopToken(None, False)


def _whole(renderer: Renderer) -> str:
    assert renderer.template is not None
    return renderer.template.render(sample_conversation(), renderer.variables)


def _mask_of_spans(encoding: Any, spans: list[Span]) -> np.ndarray:
    """Tokens that lie in the spans, even partly: (tokens,) bool.

    Some tokenizers report offsets without white space, so no token may hold a span's first or last character.
    transformers 5.23 then masks the rest of the conversation the wrong way round; here such a span is found by
    comparing all offsets.
    """
    import numpy as np

    mask: np.ndarray = np.zeros(len(encoding), bool)
    for start, end in spans:
        if start == end:
            continue
        first, last = encoding.char_to_token(start), encoding.char_to_token(end - 1)
        if first is not None and last is not None:
            mask[first : last + 1] = True
            continue
        begins, ends = np.array(encoding.offsets, np.int64).T
        empty = begins == ends
        mask |= np.where(empty, (start < ends) & (ends <= end), (begins < end) & (ends > start))
    return mask


def common_prefix(prompt: list[int], whole: list[int]) -> int:
    """Number of leading tokens the two share: where the completion begins, even if tokens merge across the border."""
    if whole[: len(prompt)] == prompt:
        return len(prompt)
    return next((i for i, pair in enumerate(zip(prompt, whole, strict=False)) if pair[0] != pair[1]), len(whole))


def _appended(encoded: Encoded, token: int) -> Encoded:
    import numpy as np

    ends = encoded.lengths.cumsum()
    return Encoded(
        np.insert(encoded.ids, ends, token),
        np.insert(encoded.trained, ends, True),
        encoded.lengths + 1,
        encoded.merged,
    )
