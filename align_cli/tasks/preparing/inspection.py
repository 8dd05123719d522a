"""Rows of a mixture as the trainer sees them: rendered, tokenised and masked by the code that prepares training."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align_cli.mix.build import Build
from align_cli.recipe.schema import Recipe
from align_cli.tasks.preparing.encoding import encode
from align_cli.tasks.preparing.findings import place_in
from align_cli.tasks.preparing.rendering import Renderer, Row, sides_of
from align_cli.tasks.preparing.settings import Chosen, choose
from align_cli.tasks.preparing.statistics import segments
from align_cli.tasks.preparing.streams import columns_of, is_conversational, read_chosen

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
    if chosen is not None and (chosen.template is not None or not conversational):
        names = (*columns, "completion") if "chosen" in columns else columns
        renderer = chosen.renderer(names, conversational=conversational)
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
        for number, (name, side) in enumerate(sides_of(row)):
            if name:
                shown.segments.append(("\n" * bool(number) + f"{name}:\n", None))
            self._add(side, f"{name}: " if name else "", shown)
        return shown

    def _add(self, row: Row, name: str, shown: _Shown) -> None:
        rendering = self.renderer.render([row])
        if rendering.refused:
            shown.notes.append(f"{name}the chat template refuses the row: {rendering.refused[0].reason}")
            shown.segments += _plain(row).segments
            return
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
                shown.notes.append(f"{name}no token of it is in the loss, so the row is left out")
        if lost := len(whole.ids) - len(kept.ids):
            ids = whole.ids[:lost] if keep_end else whole.ids[len(kept.ids) :]
            side = "first" if keep_end else "last"
            shown.cut.append(chosen.tokenizer.backend.decode(ids.tolist(), skip_special_tokens=False))
            shown.notes.append(f"{name}max_length {self.limit} cuts the {side} {lost:,} tokens")
