"""How rows with a prompt and answers to it become text and tokens: for training, for showing and for counting."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from align_cli.tasks.preparing.answers.encoded import Answers, encode_answers
from align_cli.tasks.preparing.rendering import AnswersRendering, Renderer, Row
from align_cli.tasks.preparing.settings import Chosen

PAIR = ("chosen", "rejected")


@dataclass(frozen=True, kw_only=True)
class Answering:
    """What the rows of one data set share."""

    chosen: Chosen
    renderer: Renderer
    conversational: bool
    sides: tuple[str, ...]
    """The columns that hold answers: chosen and rejected, or the completion alone."""

    @classmethod
    def of(cls, chosen: Chosen, columns: Collection[str], *, conversational: bool) -> Answering:
        """For rows with these columns."""
        renderer = chosen.renderer(("prompt", "completion"), conversational=conversational)
        sides = PAIR if "chosen" in columns else ("completion",)
        return cls(chosen=chosen, renderer=renderer, conversational=conversational, sides=sides)

    @property
    def paired(self) -> bool:
        """Whether there are two answers to each prompt."""
        return len(self.sides) > 1

    def render(self, rows: Sequence[Row]) -> AnswersRendering:
        """Rows as text."""
        separately = self.chosen.settings.render_separately
        return self.renderer.render_answers(rows, self.sides, separately=separately)

    def encode(self, rendering: AnswersRendering) -> Answers:
        """Text as tokens, whole."""
        add = self.chosen.adds_special_tokens(conversational=self.conversational)
        return encode_answers(rendering, self.chosen.tokenizer, add_special_tokens=add, closing=self.chosen.closing)

    def shown(self, row: Row, number: int, rendering: AnswersRendering) -> Iterator[tuple[Row, str]]:
        """A row with each of its answers, and the text that the rendering's row `number` has of it."""
        for side, texts in zip(self.sides, rendering.wholes, strict=True):
            yield {**row, "completion": row[side]}, texts[number]


def are_answers(columns: Collection[str]) -> bool:
    """Whether rows with these columns hold answers to be judged, and not to be imitated."""
    return "chosen" in columns or "label" in columns
