"""Build a mixture: every source read, mapped and checked, rows chosen and ordered, written once into the store."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from align_cli import files
from align_cli.errors import DataError, Problem
from align_cli.mix import arithmetic, identity, layouts, opening, shapes, spool, store
from align_cli.mix.faults import fault
from align_cli.mix.formats import File
from align_cli.mix.gather import Gathered, gather
from align_cli.mix.locate import Located, locate
from align_cli.recipe.schema import Mixture, Source

_MAX_SHOWN = 10  # problems that an error lists


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """A finished mixture in the store."""

    folder: Path
    """Holds train.arrow, eval.arrow (Arrow streams) and mixture.json."""
    digest: str
    num_train: int
    num_eval: int
    report: dict[str, Any]
    from_store: bool
    """True when nothing had to be built."""


def build(mixture: Mixture, kinds: Sequence[str], *, say: Callable[[str], None] = lambda line: None) -> Build:
    """The mixture as training would read it, from the store when the same was built before.

    `kinds` are the row kinds that the task trains on, most specific first; the result's report names the one it has.
    Columns: `messages`; or `prompt` and `completion` (both text or both turns); or `text`; then `tools` and
    `chat_template_kwargs` (JSON text) where some row has them, and `source` (int16, a position in the report's
    sources).
    Turns have role and content, and `extra` (JSON text of further keys, such as tool_calls) where some turn has any.

    Raises:
        DataError: what is wrong with the sources or rows, all of it together.
    """
    sources = (*mixture.sources, *mixture.eval)
    if not mixture.sources:
        raise DataError("the recipe names no training data", hint="add mixture: {sources: [{path: FILE}]}")
    located = _all(sources, lambda source: _fetched(locate(source)))
    before = _stamps(located)
    identities = _all(located, identity.of)
    digest = identity.digest(mixture, kinds, identities)
    if folder := store.find(digest):
        return _result(folder, digest, mixture, located, from_store=True)
    with store.building(digest, say):
        if folder := store.find(digest):  # another process built it while this one waited
            return _result(folder, digest, mixture, located, from_store=True)
        with files.new_folder(store.root() / digest) as folder:
            report = _write(mixture, kinds, located, identities, folder, say)
            for file, stamp in _stamps(located).items():
                if stamp != before[file]:  # the digest is of other bytes than the rows
                    raise opening.spoilt(
                        file, "the file changed while it was read", "run again when nothing writes to it"
                    )
            files.write_json(folder / store.REPORT, {"digest": digest, **report})
    return _result(store.root() / digest, digest, mixture, located, from_store=False)


def _write(
    mixture: Mixture,
    kinds: Sequence[str],
    located: Sequence[Located],
    identities: Sequence[dict[str, Any]],
    folder: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    scratch = folder / "scratch"
    scratch.mkdir()
    fits = _all(located, lambda one: shapes.recognise(one, kinds))
    shape, notes = shapes.common(located, fits, kinds)
    numbered = list(zip(located, fits, range(len(fits)), strict=True))

    def read(one: tuple[Located, layouts.Fit, int]) -> Gathered:
        say(f"reading {one[0].source.label}")
        return gather(one[0], one[1], shape, scratch / f"source-{one[2]}.arrow")

    gathered = _all(numbered, read)
    _refuse(mixture, gathered)

    num_sources = len(mixture.sources)
    keep_places = mixture.combine != "native"  # the ancestors count bad rows too: choose first, then leave them out
    takes = [
        arithmetic.Take(
            available=one.num_places if keep_places else one.num_usable,
            fraction=one.located.source.fraction,
            rows=one.located.source.rows,
            shuffle=one.located.source.shuffle,
            identity=files.digest_of([identity.content(facts), one.located.source.split, one.located.source.config]),
        )
        for one, facts in zip(gathered, identities, strict=True)
    ]
    try:
        chosen = arithmetic.choose(
            takes[:num_sources], combine=mixture.combine, seed=mixture.seed, held_out=mixture.held_out
        )
    except arithmetic.AmountError as error:
        raise _amount_fault(error, mixture.sources) from None
    try:
        separate = arithmetic.choose_eval(takes[num_sources:], combine=mixture.combine, seed=mixture.seed)
    except arithmetic.AmountError as error:
        raise _amount_fault(error, mixture.eval) from None
    train, held = (_usable(order, gathered[:num_sources], keep_places) for order in chosen)
    separate = _usable(separate, gathered[num_sources:], keep_places)
    if not len(train.row):
        raise DataError(
            "no row is left to train on",
            hint="look at the fractions and counts of the sources",
            problems=[
                Problem(f"none of its {take.available} rows is used", one.source.label)
                for one, take in zip(located[:num_sources], takes, strict=False)
            ],
        )
    return _deliver(mixture, located, gathered, identities, shape, notes, train, held, separate, folder)


def _deliver(
    mixture: Mixture,
    located: Sequence[Located],
    gathered: Sequence[Gathered],
    identities: Sequence[dict[str, Any]],
    shape: str,
    notes: list[str],
    train: arithmetic.Order,
    held: arithmetic.Order,
    separate: arithmetic.Order,
    folder: Path,
) -> dict[str, Any]:
    """Write the two streams; gives the report."""
    import numpy as np

    scratch, num_sources = folder / "scratch", len(mixture.sources)
    evaluation = arithmetic.Order(
        np.concatenate([held.source, separate.source + num_sources]), np.concatenate([held.row, separate.row])
    )
    if (mixture.eval or mixture.held_out) and not len(evaluation.row):
        raise fault("mixture", "no row is left to evaluate on", "hold out more rows, or ask for no evaluation")
    spools = [one.spool for one in gathered]
    spool.write_ordered(spools, train, folder / "train.arrow", shape=shape, work=scratch)
    spool.write_ordered(spools, evaluation, folder / "eval.arrow", shape=shape, work=scratch)
    shutil.rmtree(scratch)
    rows = []
    for number, one in enumerate(gathered):
        role, order = ("train", train) if number < num_sources else ("eval", evaluation)
        kept = int((order.source == number).sum())
        rows.append(
            {
                "label": one.located.source.label,
                "path": one.located.source.path,
                "for": role,
                "kind": one.located.kind,
                "layout": one.fit.layout.name,
                "available": one.num_usable,
                "kept": kept,
                "held_out": int((held.source == number).sum()) if role == "train" else 0,
                "share": round(kept / len(order.row), 6) if len(order.row) else 0.0,
                "dropped": dict(one.dropped),
                "bad_rows": [{"where": bad.where, "reason": bad.message} for bad in one.shown],
                "identity": identities[number],
            }
        )
        if not kept:
            notes.append(f"{one.located.source.label}: no row of it is used")
    return {
        "combine": mixture.combine,
        "seed": mixture.seed,
        "kind": shapes.KINDS[shape],
        "sources": rows,
        "num_train": len(train.row),
        "num_eval": len(evaluation.row),
        "notes": notes,
    }


def _amount_fault(error: arithmetic.AmountError, sources: Sequence[Source]) -> DataError:
    return fault(sources[error.source].label if error.source is not None else "mixture", str(error), error.hint)


def _stamps(located: Sequence[Located]) -> dict[File, tuple[int, int]]:
    return {file: opening.stamp(file) for one in located for part in one.parts for file in part.files}


def _fetched(located: Located) -> Located:
    if located.kind != "hub":
        return located
    from align_cli.mix import hub

    return hub.fetch(located)


def _refuse(mixture: Mixture, gathered: Sequence[Gathered]) -> None:
    """Stop on bad rows when the recipe says so, and on sources that have no other."""
    num_bad = sum(one.num_bad for one in gathered)
    if num_bad and mixture.on_bad_rows == "error":
        num_rows = sum(one.num_places for one in gathered)
        shown = list(chain.from_iterable(one.shown for one in gathered))[:_MAX_SHOWN]
        more = f"; {len(shown)} of them are shown" if num_bad > len(shown) else ""
        raise DataError(
            f"{num_bad} of {num_rows} rows cannot be trained on{more}",
            hint="mend them, or leave them out: mixture.on_bad_rows=skip",
            problems=shown,
        )
    empty = [one for one in gathered if not one.num_usable]
    if empty:
        raise DataError(
            f"no row of {empty[0].located.source.label} can be used",
            hint="look at the reasons; the layout may be another than the one recognised",
            problems=list(chain.from_iterable(one.shown for one in empty))[:_MAX_SHOWN],
        )


def _usable(order: arithmetic.Order, gathered: Sequence[Gathered], keep_places: bool) -> arithmetic.Order:
    """From places among all rows to rows of the spools, without the bad ones; the rest keep their order."""
    import numpy as np

    if not len(order.row):
        return order
    row = order.row.copy()
    for number, one in enumerate(gathered):
        mine = order.source == number
        row[mine] = one.spool_rows(order.row[mine], keep_places)
    good = row >= 0
    return arithmetic.Order(order.source[good], row[good].astype(np.int64))


def _result(folder: Path, digest: str, mixture: Mixture, located: Sequence[Located], *, from_store: bool) -> Build:
    report = files.read_json(folder / store.REPORT)
    for entry, source in zip(report["sources"], (*mixture.sources, *mixture.eval), strict=True):
        entry["label"], entry["path"] = source.label, source.path  # the same rows may be called otherwise now
    report["notes"] = [note for one in located for note in one.notes] + report["notes"]
    return Build(
        folder=folder,
        digest=digest,
        num_train=report["num_train"],
        num_eval=report["num_eval"],
        report=report,
        from_store=from_store,
    )


def _all(items: Iterable[Any], work: Callable[[Any], Any]) -> list[Any]:
    """The work's results for all items; when some fail, one error with every problem."""
    results, errors = [], []
    for item in items:
        try:
            results.append(work(item))
        except DataError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        problems = [problem for error in errors for problem in error.problems]
        raise DataError(f"{len(errors)} sources cannot be read", problems=problems)
    return results
