"""Rows are looked at one batch at a time: which step leaves each out and why, and what tells duplicates apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from align_cli.mix.clean import contamination, humaneval, language, shingles, texts
from align_cli.mix.clean.plan import Plan

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

#: Why a row may be left out. The code of a step is its place here plus 1; 0 means that the row is kept.
STEPS = ("turns", "characters", "language", "contaminated", "humaneval", "exact duplicate", "near duplicate")
_LOOKED_AT = 200  # characters of each turn that count for the language


@dataclass(slots=True)
class Verdicts:
    """What was found about the rows of a batch."""

    step: np.ndarray[Any, np.dtype[np.uint8]]
    """(rows,) Code of the first step that leaves the row out; 0 keeps it. Duplicates are not known here."""
    why: dict[int, str] = field(default_factory=dict)
    """Row -> what that step found."""
    hashes: np.ndarray[Any, np.dtype[np.uint64]] | None = None
    """(rows, 2) Where equal rows are sought."""
    signatures: np.ndarray[Any, np.dtype[np.uint32]] | None = None
    """(rows, PERMUTATIONS) Where near duplicates are sought."""


class Inspector:
    """Looks at rows as a plan says. What it finds about a row depends on nothing but the row."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._finder = contamination.Finder(plan.references) if plan.references else None
        self._humaneval = humaneval.Finder() if plan.clean.decontaminate_humaneval else None

    def inspect(self, batch: pa.RecordBatch) -> Verdicts:
        """The verdicts on a batch of the plan's shape."""
        import numpy as np

        clean, shape = self._plan.clean, self._plan.shape
        verdicts = Verdicts(np.zeros(batch.num_rows, np.uint8))
        if clean.min_turns is not None or clean.max_turns is not None:
            _limit(verdicts, "turns", texts.turns(batch, shape), clean.min_turns, clean.max_turns)
        if clean.min_characters is not None or clean.max_characters is not None:
            counts = texts.characters(batch, shape)
            _limit(verdicts, "characters", counts, clean.min_characters, clean.max_characters)
        if clean.languages:
            self._tell_languages(batch, verdicts)
        if self._finder:
            self._decontaminate(batch, verdicts, self._finder)
        if self._humaneval:
            self._look_for_humaneval(batch, verdicts, self._humaneval)
        if clean.exact:
            verdicts.hashes = shingles.row_hashes(batch, shape)
        if clean.near:
            verdicts.signatures = shingles.signatures(batch, shape)
        return verdicts

    def _tell_languages(self, batch: pa.RecordBatch, verdicts: Verdicts) -> None:
        """Leave out rows whose user and assistant speak another language; text without turns counts as theirs."""
        import numpy as np
        import pyarrow.compute as pc

        shape, wanted = self._plan.shape, self._plan.clean.languages
        columns = []
        for column in texts.columns_of(shape):
            found = texts.pieces(batch, column)
            spoken = found.roles.to_pylist() if found.roles is not None else None
            columns.append((pc.utf8_slice_codeunits(found.values, 0, _LOOKED_AT).to_pylist(), spoken, found.starts))
        for row in np.flatnonzero(verdicts.step == 0).tolist():
            said = [
                values[place]
                for values, roles, starts in columns
                for place in range(starts[row], starts[row + 1])
                if roles is None or roles[place] in ("user", "assistant")
            ]
            found_language = language.told("\n".join(said))
            if found_language and found_language not in wanted:
                _leave_out(verdicts, row, "language", f'reads as "{found_language}"')

    def _decontaminate(self, batch: pa.RecordBatch, verdicts: Verdicts, finder: contamination.Finder) -> None:
        for column in texts.columns_of(self._plan.shape):
            found = texts.pieces(batch, column)
            _leave_out_pieces(verdicts, found, "contaminated", finder.find(found.values))

    def _look_for_humaneval(self, batch: pa.RecordBatch, verdicts: Verdicts, finder: humaneval.Finder) -> None:
        shape = self._plan.shape
        # Of a preference the Handbook looked at the chosen answer only.
        for column in ["chosen"] if shape.startswith("preference") else texts.columns_of(shape):
            found = texts.pieces(batch, column)
            _leave_out_pieces(verdicts, found, "humaneval", finder.find(found.values))


def _limit(verdicts: Verdicts, step: str, counts: Any, least: int | None, most: int | None) -> None:
    import numpy as np

    outside: Any = np.zeros(len(counts), bool)
    if least is not None:
        outside |= counts < least
    if most is not None:
        outside |= counts > most
    for row in np.flatnonzero(outside & (verdicts.step == 0)).tolist():
        count = int(counts[row])
        unit = step if count != 1 else step.removesuffix("s")
        bound = f"at least {least:,}" if least is not None and count < least else f"at most {most:,}"
        _leave_out(verdicts, row, step, f"{count:,} {unit}, {bound} asked for")


def _leave_out_pieces(verdicts: Verdicts, pieces: texts.Pieces, step: str, found: dict[int, str]) -> None:
    """Leave out the rows of the pieces that were found, for the first reason each."""
    import numpy as np

    for place in sorted(found):
        row = int(np.searchsorted(pieces.starts, place, side="right")) - 1
        if verdicts.step[row] == 0:
            _leave_out(verdicts, row, step, found[place])


def _leave_out(verdicts: Verdicts, row: int, step: str, why: str) -> None:
    verdicts.step[row] = STEPS.index(step) + 1
    verdicts.why[row] = why
