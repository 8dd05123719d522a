"""How many tokens rows have, for token budgets: whole rows, as the trainer would see them without `max_length`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from align_cli.errors import RecipeError
from align_cli.files import digest_of
from align_cli.mix.measure import Measure
from align_cli.recipe.schema import Recipe
from align_cli.tasks.preparing.answers.answering import Answering, are_answers
from align_cli.tasks.preparing.encoding import encode
from align_cli.tasks.preparing.rendering import Refusal, Renderer
from align_cli.tasks.preparing.settings import NO_TEMPLATE, Chosen
from align_cli.tasks.preparing.streams import has_turns, pieces, rows_in

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

#: Raise when equal inputs give other counts.
_CODE = 2
#: The settings that decide how long a whole row is.
_SETTINGS = (
    "assistant_only_loss",
    "add_special_tokens",
    "append_eos_text",
    "append_eos_id",
    "insert_empty_system",
    "render_separately",
    "close_answers",
)


def measure(recipe: Recipe, chosen: Chosen) -> Measure:
    """What counts the tokens of rows of any shape in `mix.columns`.

    A preference counts twice: its prompt with the chosen and with the rejected answer. A row that the template refuses
    has none. The count raises RecipeError for conversations without a chat template.
    """
    settings = asdict(chosen.settings)
    identity = digest_of(
        {
            "tokenizer": chosen.tokenizer.digest,
            "template": chosen.template.digest if chosen.template else None,
            "settings": {name: settings[name] for name in _SETTINGS},
            "tokenizers": version("tokenizers"),
            "trl": version("trl") if chosen.settings.assistant_only_loss else None,
            "code": _CODE,
        }
    )

    def count(batch: pa.RecordBatch) -> np.ndarray:
        import numpy as np

        counts = [_count(piece, chosen) for piece in pieces(batch)]
        every: np.ndarray = np.concatenate([*counts, np.zeros(0, np.int64)])
        return every

    return Measure(identity=identity, count=count)


def lengths_renderer(chosen: Chosen, *, conversational: bool) -> Renderer:
    """A renderer that makes the texts of training and asks nothing about the loss.

    Raises:
        RecipeError: conversations need a chat template.
    """
    _demand_template(chosen, conversational=conversational)
    trained = chosen.renderer((), conversational=conversational)
    template = trained.marked if conversational and chosen.settings.assistant_only_loss else trained.template
    return Renderer(template, trained.variables, "all", trained.eos, trained.insert_empty_system)


def _count(batch: pa.RecordBatch, chosen: Chosen) -> np.ndarray:
    """(rows,) int64."""
    conversational = has_turns(batch.schema)
    if are_answers(batch.schema.names):
        return _count_answers(batch, chosen, conversational=conversational)
    rendering = lengths_renderer(chosen, conversational=conversational).render(rows_in(batch))
    encoded = encode(
        rendering,
        chosen.tokenizer,
        add_special_tokens=chosen.adds_special_tokens(conversational=conversational),
        append=chosen.appended,
    )
    return _by_row(batch.num_rows, rendering.refused, encoded.lengths)


def _count_answers(batch: pa.RecordBatch, chosen: Chosen, *, conversational: bool) -> np.ndarray:
    """(rows,) int64: each answer with its prompt."""
    _demand_template(chosen, conversational=conversational)
    answering = Answering.of(chosen, batch.schema.names, conversational=conversational)
    rendering = answering.render(rows_in(batch))
    whole = answering.encode(rendering)
    return _by_row(batch.num_rows, rendering.refused, sum(side.lengths + whole.prompts.lengths for side in whole.sides))


def _by_row(rows: int, refused: Sequence[Refusal], lengths: Any) -> np.ndarray:
    """`lengths` of the accepted rows in their places, 0 for refused ones."""
    import numpy as np

    counts: np.ndarray = np.zeros(rows, np.int64)
    counts[np.delete(np.arange(rows), [row for row, _ in refused])] = lengths
    return counts


def _demand_template(chosen: Chosen, *, conversational: bool) -> None:
    if conversational and chosen.template is None:
        raise RecipeError("the recipe does not fit the rows and the tokenizer", problems=[NO_TEMPLATE])
