"""Rows of a mixture as the trainer sees them: rendered, tokenised and masked by the code that prepares training."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align_cli.mix.build import Build
from align_cli.recipe.schema import Recipe
from align_cli.tasks.preparing.answers.answering import Answering, are_answers
from align_cli.tasks.preparing.answers.encoded import Answers, Limits, cut
from align_cli.tasks.preparing.encoding import encode
from align_cli.tasks.preparing.findings import place_in
from align_cli.tasks.preparing.rendering import Renderer, Row
from align_cli.tasks.preparing.settings import Chosen, choose
from align_cli.tasks.preparing.statistics import segments
from align_cli.tasks.preparing.streams import columns_of, is_conversational, read_chosen
from align_cli.tasks.task import Shape

#: Text and whether it is in the loss; None: a heading of ours, or no loss is known.
Segment = tuple[str, bool | None]


@dataclass(frozen=True, kw_only=True)
class ShownRow:
    """One row of the mixture. Of a preference, prompt and chosen answer, then prompt and rejected answer."""

    row: int
    """Its index in the split, from 0."""
    source: str
    """The source's label."""
    place: str
    """Where the row comes from."""
    segments: list[Segment]
    """What is trained on, cut to max_length."""
    num_tokens: int | None
    """Tokens of the whole row, before it is cut; None without a tokenizer."""
    num_in_loss: int | None
    """Tokens of the segments that are in the loss."""
    truncated: bool
    """Whether max_length cuts the row."""
    note: str
    """What else is to be known; empty for nothing."""
    cut: str = ""
    """The text that max_length cuts away."""


def shown_rows(
    recipe: Recipe,
    model: Path | None,
    mixture: Build,
    rows: Sequence[int],
    split: str = "train",
    *,
    shape: Shape = "sequences",
    say: Callable[[str], None] = lambda line: None,
) -> list[ShownRow]:
    """The rows with these indices (from 0), in the order asked for.

    Without a model, or a chat template that conversations need, the rows are shown as plain turns.

    Raises:
        RecipeError: template or tokenizer do not fit together.
        IndexError: there is no such row.
    """
    path = mixture.folder / f"{split}.arrow"
    columns, conversational = columns_of(path), is_conversational(path)
    chosen = choose(recipe, model, say=say) if model is not None else None
    shower: Callable[[Row], _Shown] = _plain
    if chosen is not None and (chosen.template is not None or not conversational) and are_answers(columns):
        answering = Answering.of(chosen, columns, conversational=conversational)
        shower = _Answered(answering, None if shape == "scored" else chosen.limits, shape)
    elif chosen is not None and (chosen.template is not None or not conversational):
        renderer = chosen.renderer(columns, conversational=conversational)
        settings = chosen.settings
        packing = settings.eval_packing if split == "eval" else settings.packing
        # Other packing continues a long row in the next sequence.
        limit = settings.max_length if packing in (None, "bfd") else None
        shower = _Masked(chosen, renderer, conversational, limit)
    sources = mixture.report.get("sources", ())
    found = {}
    for index, batch in read_chosen(path, rows):
        source, place = int(batch.sources[0]), int(batch.places[0])
        shown = shower(batch.rows[0])
        label = str(sources[source]["label"]) if source < len(sources) else ""
        if chosen is not None and shower is _plain:
            shown.notes.append("there is no chat template: the turns are shown as they are, and cannot be trained on")
        found[index] = shown.row(index, label, place_in(sources, source, place))
    return [found[index] for index in rows]


class _Shown:
    """A row in the making: one part, or one for each answer of a preference."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.notes: list[str] = []
        self.num_tokens: int | None = None
        self.num_in_loss: int | None = None
        self.cut: list[str] = []

    def count(self, tokens: int, in_loss: int) -> None:
        self.num_tokens = (self.num_tokens or 0) + tokens
        self.num_in_loss = (self.num_in_loss or 0) + in_loss

    def row(self, index: int, label: str, place: str) -> ShownRow:
        return ShownRow(
            row=index,
            source=label,
            place=place,
            segments=self.segments,
            num_tokens=self.num_tokens,
            num_in_loss=self.num_in_loss,
            truncated=bool(self.cut),
            note="; ".join(self.notes),
            cut="\n".join(self.cut),
        )


def _plain(row: Row) -> _Shown:
    """Texts under the names of their roles and columns."""
    shown = _Shown()
    for name, value in _texts(row):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        shown.segments.append((f"{name}: {text}\n", None))
    return shown


def _texts(row: Row) -> Iterator[tuple[str, Any]]:
    for column, value in row.items():
        if not isinstance(value, list):
            if value is not None:
                yield column, value
            continue
        for turn in value:
            role = turn["role"] if column == "messages" else f"{column}, {turn['role']}"
            yield role, turn.get("content") or ""
            for key, further in turn.items():
                if key not in ("role", "content") and further is not None:
                    yield f"{role}, {key}", further


@dataclass(frozen=True)
class _Masked:
    """Shows a row as it is trained on."""

    chosen: Chosen
    renderer: Renderer
    conversational: bool
    limit: int | None
    """Tokens at which a row is cut."""

    def __call__(self, row: Row) -> _Shown:
        shown = _Shown()
        rendering = self.renderer.render([row])
        if rendering.refused:
            return _refused(row, rendering.refused[0].reason)
        chosen = self.chosen
        whole = encode(
            rendering,
            chosen.tokenizer,
            add_special_tokens=chosen.adds_special_tokens(conversational=self.conversational),
            append=chosen.appended,
        )
        keep_end = chosen.settings.keep_end
        kept = whole if self.limit is None else whole.truncated(self.limit, keep_end=keep_end)
        in_loss = int(kept.trained.sum())
        shown.count(len(whole.ids), in_loss)
        if "completion" not in row and "prompt" in row:
            shown.segments += segments(kept.ids.tolist(), [False] * len(kept.ids), chosen.tokenizer)
        else:
            shown.segments += segments(kept.ids.tolist(), kept.trained.tolist(), chosen.tokenizer)
            if not in_loss:
                shown.notes.append("no token of it is in the loss, so the row is left out")
        if lost := len(whole.ids) - len(kept.ids):
            ids = whole.ids[:lost] if keep_end else whole.ids[len(kept.ids) :]
            side = "first" if keep_end else "last"
            shown.cut.append(chosen.tokenizer.backend.decode(ids.tolist(), skip_special_tokens=False))
            shown.notes.append(f"max_length {self.limit} cuts the {side} {lost:,} tokens")
        return shown


@dataclass(frozen=True)
class _Answered:
    """Shows a prompt with each of its answers as they are trained on."""

    answering: Answering
    limits: Limits | None
    """None: nothing is cut."""
    shape: Shape

    def __call__(self, row: Row) -> _Shown:
        rendering = self.answering.render([row])
        if rendering.refused:
            return _refused(row, rendering.refused[0].reason)
        whole = self.answering.encode(rendering)
        kept = whole if self.limits is None else cut(whole, self.limits)
        backend = self.answering.chosen.tokenizer.backend
        shown = _Shown()
        for number, (name, before, after) in enumerate(zip(self.answering.sides, whole.sides, kept.sides, strict=True)):
            heading = name if self.answering.paired else "good" if row["label"] else "bad"
            shown.segments.append(("\n" * bool(number) + f"{heading}:\n", None))
            prompt, answer = kept.prompts.ids.tolist(), after.ids.tolist()
            in_loss = [False] * len(prompt) + [self.shape != "scored"] * len(answer)
            shown.segments += segments([*prompt, *answer], in_loss, self.answering.chosen.tokenizer)
            shown.count(len(whole.prompts.ids) + len(before.ids), sum(in_loss))
            if lost := before.ids[len(answer) :].tolist():
                shown.cut.append(backend.decode(lost, skip_special_tokens=False))
                shown.notes.append(f"{heading}: max_length {self._longest} cuts the last {len(lost):,} tokens")
            if not answer:
                shown.notes.append(f"{heading}: nothing of it is left, so the row is left out")
        if lost := len(whole.prompts.ids) - len(kept.prompts.ids):
            end = self.limits is not None and self.limits.keep_end
            ids = whole.prompts.ids[:lost] if end else whole.prompts.ids[-lost:]
            shown.cut.insert(0, backend.decode(ids.tolist(), skip_special_tokens=False))
            shown.notes.append(f"the {'first' if end else 'last'} {lost:,} tokens of the prompt are cut")
        self._note_left_out(whole, shown)
        return shown

    @property
    def _longest(self) -> int | None:
        return self.answering.chosen.settings.max_length

    def _note_left_out(self, whole: Answers, shown: _Shown) -> None:
        settings = self.answering.chosen.settings
        prompt = len(whole.prompts.ids)
        if self.shape == "scored" and self._longest is not None and prompt + int(whole.longest[0]) > self._longest:
            shown.notes.append(f"longer than max_length {self._longest}, so the row is left out")
        if settings.drop_long_prompts and prompt >= (settings.max_prompt_length or prompt + 1):
            shown.notes.append("its prompt has max_prompt_length tokens or more, so the row is left out")


def _refused(row: Row, reason: str) -> _Shown:
    shown = _plain(row)
    shown.notes.append(f"the chat template refuses the row: {reason}")
    return shown
