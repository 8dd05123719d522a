"""Log-probabilities that the reference model gives to the answers: computed once, stored by row, used by every run.

They depend on the rows' tokens, on the reference model and on the precision of the arithmetic, and on no setting of
the loss. So a second run, another `beta`, another loss or an adapter on the same base finds them and needs no
reference model at all. A row that is not known yet is NaN; each row is written when it is known, so a pass that is cut
short loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from align_cli import fingerprints
from align_cli.files import cache_root, digest_of, new_folder, write_json
from align_cli.tasks.training import company

if TYPE_CHECKING:
    import numpy as np

#: Raise when equal inputs give other values.
_CODE = 2
#: Files of a model that decide what it computes.
_WEIGHTS = ("*.safetensors", "*.bin", "config.json")
_SHARE_SAID = 0.1  # of a pass, between two sentences about it


@dataclass(frozen=True)
class Store:
    """The values of one split in a file of float32, one row a row of the split."""

    path: Path
    columns: tuple[str, ...]
    rows: int

    def missing(self, wanted: np.ndarray) -> np.ndarray:
        """Those of the rows `wanted` (int64) that are not known yet."""
        import numpy as np

        rows: np.ndarray = wanted[np.isnan(self._values()[wanted]).any(axis=1)]
        return rows

    def write(self, rows: Sequence[int], values: np.ndarray) -> None:
        """Put down `values` (rows, columns) float32; done when they are on their way to the disk."""
        stored = self._values("r+")
        stored[list(rows)] = values
        stored.flush()

    def read(self) -> np.ndarray:
        """(rows, columns) float32, NaN where not known: a copy."""
        import numpy as np

        values: np.ndarray = np.array(self._values())
        return values

    def _values(self, mode: Any = "r") -> np.memmap[Any, np.dtype[np.float32]]:
        import numpy as np

        return np.memmap(self.path, np.float32, mode, shape=(self.rows, len(self.columns)))


def open_store(made_of: Mapping[str, Any], columns: Sequence[str], rows: int) -> Store:
    """The store for what `made_of` (JSON-able) describes, made of nothing but NaN if it is new."""
    import numpy as np

    made_of = {"of": dict(made_of), "columns": list(columns), "rows": rows, "code": _CODE}
    folder = cache_root() / "reference" / digest_of(made_of)[:32]
    if not folder.is_dir():
        with new_folder(folder) as work:
            np.full((rows, len(columns)), np.nan, np.float32).tofile(work / "values.f32")
            write_json(work / "inputs.json", made_of)
    return Store(folder / "values.f32", tuple(columns), rows)


def digest_of_model(folder: Path) -> str:
    """Digest of the weights and the configuration in a model's folder."""
    files = sorted(file for pattern in _WEIGHTS for file in folder.glob(pattern))
    return digest_of({file.name: fingerprints.of_file(file).sha256 for file in files})


def complete(
    store: Store,
    wanted: np.ndarray,
    lengths: np.ndarray,
    compute: Callable[[list[int]], np.ndarray],
    *,
    at_once: int,
    say: Callable[[str], None],
    stopped: Callable[[], bool],
    in_step: bool = False,
) -> bool:
    """Let `compute` fill what is missing of the rows `wanted`; False if it was stopped in between.

    `lengths` (rows of the split,) are the rows' tokens, of which a batch holds at most `at_once`, or one row. Rows of
    like length share a batch, the longest come first: what does not fit into memory shows at once. Several processes
    divide the rows; `in_step`: each of their calls of `compute` needs all of them, so all make equally many.
    """
    import numpy as np

    missing = np.unique(np.concatenate(company.gathered(store.missing(wanted))))  # machines may know different rows
    known = len(wanted) - len(missing)
    if not len(missing):
        if known:
            say(f"reference: the log-probabilities of all {known:,} rows are stored from before")
        return True
    before = f", {known:,} are stored from before" if known else ""
    say(f"reference: log-probabilities of {len(missing):,} rows{before}")
    batches = list(_batches(missing, lengths, at_once))
    mine = batches[company.rank() :: company.size()]
    rounds = -(-len(batches) // company.size()) if in_step else len(mine)
    done, said, stop = 0, 0.0, False
    found: list[tuple[list[int], np.ndarray]] = []
    for number in range(rounds):
        stop = company.anyone(stopped()) if in_step else stopped()
        if stop:
            break
        batch = mine[number] if number < len(mine) else batches[0]
        found.append((batch, compute(batch)))
        store.write(*found[-1])
        done += len(batch)
        share = done * company.size() / len(missing)
        if share - said >= _SHARE_SAID and share < 1:
            said = share
            say(f"reference: {done * company.size():,} of {len(missing):,} rows")
    if company.size() > 1:
        for rows, values in (pair for pairs in company.gathered(found) for pair in pairs):
            if company.is_first_here():
                store.write(rows, values)
    return not company.anyone(stop)  # also waits until everything is written


def _batches(rows: np.ndarray, lengths: np.ndarray, at_once: int) -> Iterator[list[int]]:
    batch: list[int] = []
    longest = 0
    for row in rows[(-lengths[rows]).argsort(kind="stable")].tolist():
        longest = max(longest, int(lengths[row]))
        if batch and longest * (len(batch) + 1) > at_once:
            yield batch
            batch, longest = [], int(lengths[row])
        batch.append(row)
    if batch:
        yield batch
