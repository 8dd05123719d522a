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
from align_cli.mix.clean import STEPS, duplicates
from align_cli.mix.faults import fault
from align_cli.mix.gather import Gathered
from align_cli.mix.measure import Measure
from align_cli.mix.order import arithmetic
from align_cli.mix.store import identity
from align_cli.recipe.schema import Mixture, Source

if TYPE_CHECKING:
    from align_cli.mix.order.orders import Order, Rows

_EXACT, _NEAR = (STEPS.index(step) + 1 for step in ("exact duplicate", "near duplicate"))
_CHUNK = 65536  # rows of signatures copied at a time


class Selection:
    """The chosen rows, as rows of the spools, and what was counted on the way."""

    def __init__(self, train: Order, held_out: Order, separate: Order, lengths: Sequence[Any]) -> None:
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
            _mark_duplicates(mixture, [one], _of_one(one), scratch)
    _refuse_empty(gathered)
    num_sources = len(mixture.sources)
    sources = (*mixture.sources, *mixture.eval)
    lengths = [
        _lengths(one, measure) if _asks_for_tokens(mixture, source, number < num_sources) else None
        for number, (one, source) in enumerate(zip(gathered, sources, strict=True))
    ]
    offers = [one.places if not native else _usable(one)[1] for one in gathered]
    takes = [
        _take(one, source, facts, offer, tokens, native=native)
        for one, source, facts, offer, tokens in zip(gathered, sources, identities, offers, lengths, strict=True)
    ]
    wish = arithmetic.Wish(
        combine=mixture.combine,
        seed=mixture.seed,
        held_out=mixture.held_out,
        rows=mixture.rows,
        tokens=mixture.tokens,
        temperature=mixture.temperature,
        oversample=mixture.oversample,
        order=mixture.order,
    )
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
    selection = Selection(train, held_out, separate, lengths)
    _without_common_rows(mixture, gathered, selection, scratch)
    _demand_rows(mixture, gathered, takes, selection)
    return selection


def _usable(one: Gathered) -> tuple[Rows, Rows]:
    """Places whose rows are usable and not left out by cleaning, and their spool rows."""
    import numpy as np

    places = np.flatnonzero(one.places >= 0)
    rows = one.places[places]
    kept = one.step[rows] == 0
    return places[kept], rows[kept]


def _take(
    one: Gathered, source: Source, facts: dict[str, Any], offer: Rows, tokens: Any, *, native: bool
) -> arithmetic.Take:
    return arithmetic.Take(
        available=len(offer),
        places=_usable(one)[0] if native else None,
        fraction=source.fraction,
        rows=source.rows,
        tokens=source.tokens,
        share=source.share,
        repeat=source.repeat,
        shuffle=source.shuffle,
        held_out=source.held_out,
        identity=files.digest_of([identity.content(facts), source.split, source.config]),
        lengths=tokens[offer] if tokens is not None else None,
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


def _of_one(one: Gathered) -> Order:
    import numpy as np

    rows = np.unique(_usable(one)[1])
    return arithmetic.Order(np.zeros(len(rows), np.int64), rows)


def _mark_duplicates(mixture: Mixture, gathered: Sequence[Gathered], order: Order, scratch: Path) -> None:
    """Among distinct rows in the order of their priority, mark those that repeat an earlier one."""
    import numpy as np

    clean = mixture.clean
    if not (clean.exact or clean.near) or not len(order.row):
        return
    hashes = signatures = None
    if clean.exact:
        hashes = np.empty((len(order.row), 2), np.uint64)
        for number, one in enumerate(gathered):
            mine = order.source == number
            hashes[mine] = one.hashes[order.row[mine]]
    if clean.near:
        signatures = _stacked(gathered, order, scratch / "stacked.signatures")
    found = duplicates.find(hashes, signatures, clean.near)
    for again in np.flatnonzero(found.of >= 0).tolist():
        first = int(found.of[again])
        one, row = gathered[order.source[again]], int(order.row[again])
        other = gathered[order.source[first]]
        one.step[row] = _NEAR if found.near[again] else _EXACT
        how = "is much like" if found.near[again] else "repeats"
        label = f"{other.located.source.label}, " if other is not one else ""
        one.why[row] = f"{how} {label}{other.where(int(order.row[first]))}"


def _stacked(gathered: Sequence[Gathered], order: Order, path: Path) -> Any:
    """The rows' signatures in priority order, in a file: they are too large for memory."""
    import numpy as np

    maps = [one.signature_rows() for one in gathered]
    width = next(one.shape[1] for one in maps if one is not None)
    if len(gathered) == 1 and len(order.row) == len(gathered[0].step):
        return maps[0]
    stacked = np.memmap(path, np.uint32, "w+", shape=(len(order.row), width))
    for start in range(0, len(order.row), _CHUNK):
        source, row = order.source[start : start + _CHUNK], order.row[start : start + _CHUNK]
        for number, signatures in enumerate(maps):
            mine = np.flatnonzero(source == number)
            if len(mine):
                stacked[start + mine] = signatures[row[mine]]
    return stacked


def _without_common_rows(mixture: Mixture, gathered: Sequence[Gathered], selection: Selection, scratch: Path) -> None:
    """Leave out what was chosen twice: rows to evaluate on stay, then those of the source that is listed first."""
    import numpy as np

    clean, native = mixture.clean, mixture.combine == "native"
    if not (clean.exact or clean.near) or (native and (len(gathered) == 1 or not clean.across)):
        return
    evaluation, train = selection.evaluation, selection.train
    # Rows that a source repeats on purpose count once; within a source the first in reading order stays.
    distinct = []
    for order in (evaluation, train):
        keys = np.unique(np.stack([order.source, order.row]), axis=1) if len(order.row) else np.empty((2, 0), np.int64)
        distinct.append(keys)
    together = np.concatenate(distinct, axis=1)
    groups = [together]
    if not clean.across:
        groups = [together[:, together[0] == number] for number in range(len(gathered))]
    for group in groups:
        _mark_duplicates(mixture, gathered, arithmetic.Order(group[0], group[1]), scratch)
    for name in ("train", "held_out", "separate"):
        setattr(selection, name, _kept(getattr(selection, name), gathered))


def _kept(order: Order, gathered: Sequence[Gathered]) -> Order:
    import numpy as np

    kept: Any = np.ones(len(order.row), bool)
    for number, one in enumerate(gathered):
        mine = order.source == number
        kept[mine] = one.step[order.row[mine]] == 0
    return arithmetic.Order(order.source[kept], order.row[kept])


def _refuse_empty(gathered: Sequence[Gathered]) -> None:
    """Stop when nothing of a source is left, and say which step took how much."""
    problems = []
    for one in gathered:
        if len(_usable(one)[0]):
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
