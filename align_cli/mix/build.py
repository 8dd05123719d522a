"""Build a mixture: every source read, mapped and checked, rows chosen and ordered, written once into the store."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from align_cli import files
from align_cli.errors import DataError
from align_cli.mix import clean, report
from align_cli.mix.clean.plan import plan as plan_cleaning
from align_cli.mix.gather import Gathered, gather
from align_cli.mix.layout import shapes
from align_cli.mix.layout.columns import KINDS
from align_cli.mix.measure import Measure
from align_cli.mix.order.arithmetic import Order
from align_cli.mix.reading import engines
from align_cli.mix.select import Selection, select
from align_cli.mix.sources import opening
from align_cli.mix.sources.formats import File
from align_cli.mix.sources.locate import Located, locate
from align_cli.mix.spools import spool
from align_cli.mix.store import identity, store
from align_cli.recipe.schema import Mixture

__all__ = ["Build", "Measure", "address", "build"]

_MAX_SHOWN = 10  # problems that an error lists
_CAREFUL = 8  # times the work of reading a row that looking at each text of it is


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """A finished mixture in the store."""

    folder: Path
    """Holds train.arrow, eval.arrow, dropped.arrow (Arrow streams) and mixture.json."""
    digest: str
    num_train: int
    num_eval: int
    report: dict[str, Any]
    from_store: bool
    """True when nothing had to be built."""

    @property
    def inputs(self) -> dict[str, Any]:
        """Everything that the digest is the digest of."""
        inputs: dict[str, Any] = self.report["inputs"]
        return inputs


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where a mixture is, or will be, in the store."""

    located: Sequence[Located]
    identities: Sequence[dict[str, Any]]
    inputs: dict[str, Any]
    digest: str
    stamps: dict[File, tuple[int, ...]]
    """What the files looked like before any of them was read."""


def address(mixture: Mixture, kinds: Sequence[str], *, measure: Measure | None = None) -> Address:
    """What the mixture is made of, and the digest of that: every input is read, and nothing is built.

    Raises:
        DataError: what is wrong with the sources, all of it together.
    """
    sources = (*mixture.sources, *mixture.eval)
    if not mixture.sources:
        raise DataError("the recipe names no training data", hint="add mixture: {sources: [{path: FILE}]}")
    located = _all(sources, lambda source: _fetched(locate(source)))
    stamps = _stamps(located)
    identities = _all(located, identity.of)
    inputs = identity.inputs(
        mixture,
        kinds,
        identities,
        references=clean.references(mixture.clean),
        measure=measure.identity if measure and _counts_tokens(mixture) else None,
    )
    return Address(
        located=located,
        identities=identities,
        inputs=inputs,
        digest=identity.digest_of_inputs(inputs),
        stamps=stamps,
    )


def build(
    mixture: Mixture,
    kinds: Sequence[str],
    *,
    measure: Measure | None = None,
    engine: engines.Engine | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Build:
    """The mixture as training would read it, from the store when the same was built before.

    `kinds` are the row kinds that the task trains on, most specific first; the result's report names the one it has.
    Columns: those of the shape in `columns`, without the optional ones that no row fills; then `source` (int16, a
    position in the report's sources) and `place` (int64, the row's number in the order of reading that source).
    Turns have role and content, and `extra` (JSON text of further keys, such as tool_calls) where some turn has any.
    `measure` counts tokens for token budgets; `engine` shares the reading out and never changes a byte.

    Raises:
        DataError: what is wrong with the sources or rows, all of it together.
    """
    found = address(mixture, kinds, measure=measure)
    digest = found.digest
    if folder := store.find(digest):
        return _result(folder, mixture, found, from_store=True)
    with store.building(digest, say):
        if folder := store.find(digest):  # another process built it while this one waited
            return _result(folder, mixture, found, from_store=True)
        with files.new_folder(store.root() / digest) as folder:
            made = _make(mixture, kinds, found, folder, measure, engine, say)
            for file, stamp in _stamps(found.located).items():
                if stamp != found.stamps[file]:  # the digest is of other bytes than the rows
                    raise opening.spoilt(
                        file, "the file changed while it was read", "run again when nothing writes to it"
                    )
            files.write_json(folder / store.REPORT, {"digest": digest, "inputs": found.inputs, **made})
    return _result(store.root() / digest, mixture, found, from_store=False)


def _make(
    mixture: Mixture,
    kinds: Sequence[str],
    found: Address,
    folder: Path,
    measure: Measure | None,
    engine: engines.Engine | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Fill the store's new folder; gives the report."""
    scratch = folder / "scratch"
    scratch.mkdir()
    located = found.located
    fits = _all(located, lambda one: shapes.recognise(one, kinds))
    shape, notes = shapes.common(located, fits, kinds)
    plan = plan_cleaning(mixture.clean, shape, scratch, say)
    size = sum(_effort(file) for file in found.stamps) * (_CAREFUL if plan or mixture.clean.repair else 1)
    gathered = gather(
        located,
        fits,
        shape,
        scratch,
        repair=mixture.clean.repair,
        plan=plan,
        engine=engine or engines.choose(size=size),
        say=say,
    )
    _refuse(mixture, gathered)
    if mixture.clean.exact or mixture.clean.near:
        say("looking for duplicates")
    selection = select(mixture, gathered, found.identities, measure=measure, scratch=scratch)
    _give_back()
    say(f"writing {len(selection.train.row):,} rows in their order")
    result = _deliver(gathered, selection, shape, folder, scratch)
    shutil.rmtree(scratch)
    return report.make(mixture, gathered, found.identities, selection, kind=KINDS[shape], notes=notes, result=result)


def _give_back() -> None:
    """Return freed memory to the system before the step that needs most: glibc keeps what arithmetic used."""
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _deliver(
    gathered: Sequence[Gathered], selection: Selection, shape: str, folder: Path, scratch: Path
) -> dict[str, str]:
    """Write the three streams; gives the digests of what training reads."""
    import numpy as np
    import pyarrow as pa

    spools = [one.spool for one in gathered]
    places = [one.records for one in gathered]
    result = {}
    for name, order in (("train", selection.train), ("eval", selection.evaluation)):
        path = folder / f"{name}.arrow"
        result[name] = spool.write_ordered(spools, order, path, shape=shape, work=scratch, places=places)
    source, row, step, why = [], [], [], []
    for number, one in enumerate(gathered):
        rows = np.intersect1d(np.flatnonzero(one.step), one.places)
        source += [number] * len(rows)
        row.append(rows)
        step += [clean.STEPS[code - 1] for code in one.step[rows].tolist()]
        why += [one.why.get(index, "") for index in rows.tolist()]
    order = Order(np.array(source, np.int64), np.concatenate([*row, np.empty(0, np.int64)]))
    labels = {"step": pa.array(step, pa.string()), "why": pa.array(why, pa.string())}
    spool.write_ordered(
        spools, order, folder / "dropped.arrow", shape=shape, work=scratch, places=places, labels=labels
    )
    return result


def _effort(file: File) -> int:
    """Bytes to read, as far as they are known: what is packed is several times as much."""
    size = file.path.stat().st_size
    return 4 * size if file.path.name.lower().endswith(".gz") else size


def _counts_tokens(mixture: Mixture) -> bool:
    return mixture.tokens is not None or any(one.tokens is not None for one in (*mixture.sources, *mixture.eval))


def _stamps(located: Sequence[Located]) -> dict[File, tuple[int, ...]]:
    return {file: opening.stamp(file) for one in located for part in one.parts for file in part.files}


def _fetched(located: Located) -> Located:
    if located.kind != "hub":
        return located
    from align_cli.mix.sources import hub

    return hub.fetch(located)


def _refuse(mixture: Mixture, gathered: Sequence[Gathered]) -> None:
    """Stop on bad rows when the recipe says so."""
    num_bad = sum(one.num_bad for one in gathered)
    if num_bad and mixture.on_bad_rows == "error":
        num_rows = sum(len(one.places) for one in gathered)
        shown = list(chain.from_iterable(one.shown for one in gathered))[:_MAX_SHOWN]
        more = f"; {len(shown)} of them are shown" if num_bad > len(shown) else ""
        raise DataError(
            f"{num_bad} of {num_rows} rows cannot be trained on{more}",
            hint="mend them, or leave them out: mixture.on_bad_rows=skip",
            problems=shown,
        )


def _result(folder: Path, mixture: Mixture, found: Address, *, from_store: bool) -> Build:
    made = report.refreshed(files.read_json(folder / store.REPORT), mixture, found.located)
    made["inputs"] = found.inputs  # equal but for the names of things
    return Build(
        folder=folder,
        digest=found.digest,
        num_train=made["num_train"],
        num_eval=made["num_eval"],
        report=made,
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
