"""From what every source has to the rows of the mixture: usable rows, duplicates, amounts, order.

Native: a source is cleaned before its rows are chosen, so that the choice depends on nothing but the source; what two
sources have in common is left out afterwards. The ancestors chose among all rows and left the bad ones out later.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from align_cli import files
from align_cli.errors import DataError, Problem
from align_cli.mix import repeats
from align_cli.mix.clean import STEPS
from align_cli.mix.faults import fault
from align_cli.mix.gather import Gathered
from align_cli.mix.measure import Measure
from align_cli.mix.order import amounts, arithmetic
from align_cli.mix.store import identity
from align_cli.recipe.schema import Mixture, Source

if TYPE_CHECKING:
    from align_cli.mix.order.orders import Order, Rows


class Selection:
    """The chosen rows, as rows of the spools, and what was counted on the way."""

    def __init__(self, train: Order, held_out: Order, separate: Order, lengths: Sequence[Any], num_common: int) -> None:
        self.num_common = num_common
        """Rows that were chosen and then left out, because another source has them, too."""
        self.train, self.held_out, self.separate = train, held_out, separate
        """`separate` are the evaluation sources' rows; their numbers follow those of the training sources."""
        self.lengths = lengths
        """Per source (spool rows,) int64 tokens, or None where nobody asked."""

    @property
    def evaluation(self) -> Order:
        """Held-out rows, then those of the evaluation sources."""
        import numpy as np

        pairs = (self.held_out, self.separate)
        return arithmetic.Order(
            np.concatenate([pair.source for pair in pairs]), np.concatenate([pair.row for pair in pairs])
        )


def select(
    mixture: Mixture,
    gathered: Sequence[Gathered],
    identities: Sequence[dict[str, Any]],
    *,
    measure: Measure | None,
    scratch: Path,
) -> Selection:
    """Choose and order the rows of a mixture.

    Raises:
        DataError: an amount that the sources cannot give, or nothing left to train or evaluate on.
    """
    native = mixture.combine == "native"
    if native:
        for one in gathered:
            repeats.within(mixture, one, scratch)
    _refuse_empty(gathered)
    num_sources = len(mixture.sources)
    sources = (*mixture.sources, *mixture.eval)
    lengths = [
        _lengths(one, measure) if _asks_for_tokens(mixture, source, number < num_sources) else None
        for number, (one, source) in enumerate(zip(gathered, sources, strict=True))
    ]
    offers = [one.places if not native else one.usable()[1] for one in gathered]
    takes = [
        _take(one, source, facts, offer, tokens, native=native)
        for one, source, facts, offer, tokens in zip(gathered, sources, identities, offers, lengths, strict=True)
    ]
    wish = arithmetic.Wish.of(mixture)
    try:
        chosen = arithmetic.choose(takes[:num_sources], wish)
    except arithmetic.AmountError as error:
        raise _amount_fault(error, mixture.sources) from None
    try:
        separate = arithmetic.choose_eval(takes[num_sources:], wish)
    except arithmetic.AmountError as error:
        raise _amount_fault(error, mixture.eval) from None
    train, held_out = (_of_spools(order, offers, gathered) for order in chosen)
    separate = _of_spools(arithmetic.Order(separate.source + num_sources, separate.row), offers, gathered)
    # What is evaluated on must not be trained on: it comes first.
    (held_out, separate, train), gone = repeats.across(mixture, gathered, (held_out, separate, train), scratch)
    selection = Selection(train, held_out, separate, lengths, gone)
    _demand_rows(mixture, gathered, takes, selection)
    return selection


def _take(
    one: Gathered, source: Source, facts: dict[str, Any], offer: Rows, tokens: Any, *, native: bool
) -> arithmetic.Take:
    return arithmetic.Take(
        available=len(offer),
        places=one.usable()[0] if native else None,
        identity=files.digest_of([identity.content(facts), source.split, source.config]),
        lengths=tokens[offer] if tokens is not None else None,
        **amounts.wanted(source),
    )


def _of_spools(order: Order, offers: Sequence[Rows], gathered: Sequence[Gathered]) -> Order:
    """From rows on offer to rows of the spools. What cannot be used or is cleaned away goes; the others keep order."""
    import numpy as np

    row: Any = np.full(len(order.row), -1, np.int64)
    for number, (offer, one) in enumerate(zip(offers, gathered, strict=True)):
        mine = order.source == number
        if mine.any():
            rows = offer[order.row[mine]]
            left_out = rows < 0
            left_out[~left_out] = one.step[rows[~left_out]] != 0
            row[mine] = np.where(left_out, -1, rows)
    good = row >= 0
    narrow = np.int32 if not len(row) or row.max() < 2**31 else np.int64  # half the memory, while all is written
    return arithmetic.Order(order.source[good].astype(np.int16), row[good].astype(narrow))


def _asks_for_tokens(mixture: Mixture, source: Source, trains: bool) -> bool:
    return source.tokens is not None or (trains and mixture.tokens is not None)


def _lengths(one: Gathered, measure: Measure | None) -> Any:
    import numpy as np

    if measure is None:
        hint = "set model_name_or_path or tokenizer_name_or_path, or ask for rows instead"
        raise fault(one.located.source.label, "tokens are asked for, and there is no tokenizer to count them", hint)
    counts = [measure.count(batch) for batch in one.spool.batches()]
    return np.concatenate([*counts, np.empty(0, np.int64)])


def _refuse_empty(gathered: Sequence[Gathered]) -> None:
    """Stop when nothing of a source is left, and say which step took how much."""
    problems = []
    for one in gathered:
        if len(one.usable()[0]):
            continue
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in dropped(one).items())
        said = f"no row is left of {len(one.places):,}{f': {reasons}' if reasons else ''}"
        problems.append(Problem(said, one.located.source.label, "look at where:, clean: and split:"))
        problems += one.shown
    if problems:
        raise DataError("a source has no row left", problems=problems[:20])


def dropped(one: Gathered) -> dict[str, int]:
    """Reason -> rows of the source that it keeps from training."""
    import numpy as np

    found: dict[str, int] = dict(one.left_out)
    if one.num_bad:
        found["bad row"] = one.num_bad
    rows = one.places[one.places >= 0]
    counts = np.bincount(one.step[rows], minlength=len(STEPS) + 1)
    found.update({step: int(counts[code]) for code, step in enumerate(STEPS, 1) if counts[code]})
    return found


def _demand_rows(
    mixture: Mixture, gathered: Sequence[Gathered], takes: Sequence[arithmetic.Take], selection: Selection
) -> None:
    if not len(selection.train.row):
        raise DataError(
            "no row is left to train on",
            hint="look at the fractions and counts of the sources",
            problems=[
                Problem(f"none of its {take.available} rows is used", one.located.source.label)
                for one, take in zip(gathered[: len(mixture.sources)], takes, strict=False)
            ],
        )
    held_out = mixture.held_out or any(source.held_out for source in mixture.sources)
    if (mixture.eval or held_out) and not len(selection.evaluation.row):
        raise fault("mixture", "no row is left to evaluate on", "hold out more rows, or ask for no evaluation")


def _amount_fault(error: arithmetic.AmountError, sources: Sequence[Source]) -> DataError:
    return fault(sources[error.source].label if error.source is not None else "mixture", str(error), error.hint)
