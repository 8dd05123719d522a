"""Prompts and the answers to them as token ids: parted where they part, closed where they must be, cut to length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from align_cli.models.tokenizer import Tokenizer
from align_cli.tasks.preparing.encoding import common_prefix
from align_cli.tasks.preparing.rendering import AnswersRendering

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Ragged:
    """Token ids of rows end to end, and how long each row is."""

    ids: np.ndarray
    """(tokens,) int32"""
    lengths: np.ndarray
    """(rows,) int64"""

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> Ragged:
        """From one list of ids a row."""
        import numpy as np

        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        return cls(np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum())), lengths)

    def part(self, first: np.ndarray, lengths: np.ndarray) -> Ragged:
        """Of every row the `lengths` (rows,) tokens from `first` (rows,) on."""
        import numpy as np

        if not first.any() and np.array_equal(lengths, self.lengths):
            return self
        starts = self.lengths.cumsum() - self.lengths
        position = np.arange(len(self.ids)) - np.repeat(starts, self.lengths)
        begin = np.repeat(first, self.lengths)
        return Ragged(self.ids[(position >= begin) & (position < begin + np.repeat(lengths, self.lengths))], lengths)

    def followed_by(self, other: Ragged) -> Ragged:
        """Every row with the other's row after it."""
        import numpy as np

        lengths = self.lengths + other.lengths
        first = np.repeat(self.lengths, lengths) > np.arange(int(lengths.sum())) - np.repeat(
            lengths.cumsum() - lengths, lengths
        )
        ids = np.empty(len(first), np.int32)
        ids[first], ids[~first] = self.ids, other.ids
        return Ragged(ids, lengths)

    def select(self, rows: np.ndarray) -> Ragged:
        """Only the rows where `rows` (rows,) is true."""
        import numpy as np

        return self if rows.all() else Ragged(self.ids[np.repeat(rows, self.lengths)], self.lengths[rows])


@dataclass(frozen=True)
class Answers:
    """A batch of prompts, each with one answer a side (chosen and rejected, or one alone)."""

    prompts: Ragged
    sides: tuple[Ragged, ...]
    parted: np.ndarray
    """(rows,) bool: prompts whose own tokens are not all at the start of every whole."""

    @property
    def longest(self) -> np.ndarray:
        """(rows,) int64: tokens of each row's longest answer."""
        import numpy as np

        longest: np.ndarray = np.max([side.lengths for side in self.sides], axis=0)
        return longest

    def wholes(self) -> tuple[Ragged, ...]:
        """For each side, every prompt with its answer."""
        return tuple(self.prompts.followed_by(side) for side in self.sides)

    def select(self, rows: np.ndarray) -> Answers:
        """Only the rows where `rows` (rows,) is true."""
        if rows.all():
            return self
        return Answers(self.prompts.select(rows), tuple(side.select(rows) for side in self.sides), self.parted[rows])


class Closing(NamedTuple):
    """Ids of the tokens that every prompt begins and every answer ends with; None adds nothing."""

    bos: int | None = None
    eos: int | None = None


class Limits(NamedTuple):
    """How long a prompt with its answer may be, in tokens."""

    max_length: int | None
    max_prompt_length: int | None = None
    keep_end: bool = False
    """Whether a prompt that is cut keeps its end."""


def encode_answers(
    rendering: AnswersRendering, tokenizer: Tokenizer, *, add_special_tokens: bool, closing: Closing
) -> Answers:
    """Token ids of a rendered batch.

    Prompt and answer are never tokenised apart: the answer is what the whole has beyond the tokens that it shares with
    the prompt alone, and with the wholes of the other sides (TRL 1.16, `common_prefix_length`).
    """
    import numpy as np

    encode = tokenizer.backend.encode_batch_fast
    alone = [encoding.ids for encoding in encode(rendering.prompts, add_special_tokens=add_special_tokens)]
    wholes = [
        [encoding.ids for encoding in encode(texts, add_special_tokens=add_special_tokens)]
        for texts in rendering.wholes
    ]
    prompts: list[list[int]] = []
    answers: list[list[list[int]]] = [[] for _ in wholes]
    parted = np.zeros(len(alone), bool)
    for index, (asked, *rows) in enumerate(zip(alone, *wholes, strict=True)):
        shared = min(common_prefix(asked, row) for row in rows)
        parted[index] = shared < len(asked)
        begin = [closing.bos] if closing.bos is not None and asked[:1] != [closing.bos] else []
        prompts.append(begin + asked[:shared])
        for side, row in zip(answers, rows, strict=True):
            end = [closing.eos] if closing.eos is not None and row[-1:] != [closing.eos] else []
            side.append(row[shared:] + end)
    return Answers(Ragged.of(prompts), tuple(map(Ragged.of, answers)), parted)


def cut(answers: Answers, limits: Limits) -> Answers:
    """Every prompt with its longest answer cut to `limits.max_length`; all sides keep one and the same prompt.

    With `max_prompt_length`, as trl up to 0.12 (`DPOTrainer.tokenize_row`): where prompt and longest answer together
    are too long, the prompt is cut to `max_prompt_length`, and if that is not enough, the answers to the rest of
    `max_length`. Without it, `keep_end` takes from the prompt's beginning and leaves it one token at least; otherwise
    the prompt stays and the answers are cut (TRL 1.16, `keep_start`), which may leave nothing of them.
    """
    import numpy as np

    limit = limits.max_length
    whole = answers.prompts.lengths
    longest = answers.longest
    if limit is None or not len(whole) or int((whole + longest).max()) <= limit:
        return answers
    if limits.max_prompt_length is not None:
        kept = np.where(whole + longest > limit, np.minimum(whole, limits.max_prompt_length), whole)
        room = np.where(kept + longest > limit, limit - limits.max_prompt_length, longest)
    elif limits.keep_end:
        kept = np.minimum(whole, np.maximum(limit - longest, 1))
        room = limit - kept
    else:
        kept = np.minimum(whole, limit)
        room = limit - kept
    first = whole - kept if limits.keep_end else np.zeros_like(whole)
    nothing = np.zeros_like(whole)
    sides = tuple(side.part(nothing, np.minimum(side.lengths, room)) for side in answers.sides)
    return replace(answers, prompts=answers.prompts.part(first, kept), sides=sides)
