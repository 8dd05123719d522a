"""Two finished mixtures side by side: what they were asked for, which rows only one of them has, in which order.

Works on folders of the store and on exported ones. Rows are compared by what they say, each as often as it occurs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from align_cli.errors import UsageError
from align_cli.mix.store import changes, identity
from align_cli.mix.store.inventory import report_of
from align_cli.mix.store.row_hashes import Rows, batches, rows_of

if TYPE_CHECKING:
    import numpy as np

_SPLITS = ("train", "eval")
_EXAMPLES = 3
_LONGEST = 200  # characters of an example


def compare(folder_a: Path, folder_b: Path) -> dict[str, Any]:
    """What differs between two mixtures, JSON-able. Memory grows by some 100 bytes a row, not with their text.

    `parameters`: what was asked, each {what, before (A), now (B), how, text}. `splits`: for train and eval {a, b,
    only_a, only_b, both, same_order}, where `same_order` is of the rows that both have; `moved` the rows that are in
    another split. `sources`: the same counts for each source of A or B, paired by content, then by label. `examples`:
    the first rows that only one has. `same`: whether all rows and their order are equal.

    Raises:
        UsageError: a folder holds no mixture, or one that cannot be read.
    """
    a, b = _Mixture.of(folder_a), _Mixture.of(folder_b)
    splits = {split: _Common.of(a.rows[split], b.rows[split]) for split in _SPLITS}
    pairs = _paired(a, b)
    return {
        "a": a.described(),
        "b": b.described(),
        "same": all(common.is_same for common in splits.values()),
        "parameters": [{**change._asdict(), "text": str(change)} for change in _parameters(a.report, b.report)],
        "splits": {split: common.counts() for split, common in splits.items()},
        "moved": {
            "train_to_eval": _num_shared(splits["train"].rows_a, splits["eval"].rows_b),
            "eval_to_train": _num_shared(splits["eval"].rows_a, splits["train"].rows_b),
        },
        "sources": [
            {
                "a": a.labels[old] if old is not None else None,
                "b": b.labels[new] if new is not None else None,
                **{split: _Common.of(a.part(split, old), b.part(split, new)).counts() for split in _SPLITS},
            }
            for old, new in pairs
        ],
        "examples": {
            "only_a": a.examples({split: common.left_a for split, common in splits.items()}),
            "only_b": b.examples({split: common.left_b for split, common in splits.items()}),
        },
    }


class _Mixture(NamedTuple):
    """One side."""

    folder: Path
    report: Mapping[str, Any]
    rows: Mapping[str, Rows]
    labels: list[str]

    @classmethod
    def of(cls, folder: Path) -> _Mixture:
        report = report_of(folder)
        if report is None or not isinstance(report.get("sources"), list):
            raise UsageError(f"{folder}: there is no mixture in it", hint="it needs mixture.json and its rows")
        labels = [str(source.get("label", "")) for source in report["sources"]]
        # An export names a source on this machine by the last part of its path.
        named = [Path(label).name if label.startswith(("/", "~", "..")) else label for label in labels]
        return cls(folder, report, {split: rows_of(folder, split, named) for split in _SPLITS}, labels)

    def described(self) -> dict[str, Any]:
        """Where it is and how many rows it has."""
        return {
            "folder": str(self.folder),
            "digest": self.report.get("digest"),
            "result": self.report.get("result"),
            "kind": self.report.get("kind"),
            "num_train": len(self.rows["train"].hashes),
            "num_eval": len(self.rows["eval"].hashes),
        }

    def part(self, split: str, source: int | None) -> Rows:
        """The rows of one source."""
        rows = self.rows[split]
        mine = rows.source == (-2 if source is None else source)
        return Rows(rows.hashes[mine], rows.source[mine], rows.place[mine])

    def examples(self, left: Mapping[str, np.ndarray[Any, Any]]) -> list[dict[str, Any]]:
        """The first of the rows at these positions, with where they come from."""
        found: list[dict[str, Any]] = []
        for split, positions in left.items():
            wanted = positions[: _EXAMPLES - len(found)].tolist()
            start = 0
            for batch in batches(self.folder, split) if wanted else ():
                while wanted and wanted[0] < start + batch.num_rows:
                    position = wanted.pop(0)
                    row = batch.slice(position - start, 1).to_pylist()[0]
                    found.append(self._example(split, position, row))
                start += batch.num_rows
                if not wanted:
                    break
        return found

    def _example(self, split: str, position: int, row: Mapping[str, Any]) -> dict[str, Any]:
        rows = self.rows[split]
        source, place = int(rows.source[position]), int(rows.place[position])
        label = self.labels[source] if 0 <= source < len(self.labels) else ""
        where = f"{label}, row {place + 1}" if place >= 0 else label
        return {"split": split, "row": position, "source": label, "place": place, "where": where, "text": _text(row)}


class _Common(NamedTuple):
    """What two sequences of rows have in common."""

    rows_a: np.ndarray[Any, Any]
    """Hashes of those that only A has."""
    rows_b: np.ndarray[Any, Any]
    left_a: np.ndarray[Any, Any]
    """Their positions."""
    left_b: np.ndarray[Any, Any]
    both: int
    same_order: bool

    @classmethod
    def of(cls, a: Rows, b: Rows) -> _Common:
        import numpy as np

        in_b, in_a = _shared(a.hashes, b.hashes), _shared(b.hashes, a.hashes)
        return cls(
            a.hashes[~in_b],
            b.hashes[~in_a],
            np.flatnonzero(~in_b),
            np.flatnonzero(~in_a),
            int(in_b.sum()),
            bool(np.array_equal(a.hashes[in_b], b.hashes[in_a])),
        )

    @property
    def is_same(self) -> bool:
        return self.same_order and not len(self.rows_a) and not len(self.rows_b)

    def counts(self) -> dict[str, Any]:
        only_a, only_b = len(self.rows_a), len(self.rows_b)
        return {
            "a": self.both + only_a,
            "b": self.both + only_b,
            "only_a": only_a,
            "only_b": only_b,
            "both": self.both,
            "same_order": self.same_order,
        }


def _shared(mine: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(rows,) whether the other side has this row, too; of a row that it has n times the first n count."""
    import numpy as np

    order = np.argsort(mine, kind="stable")
    ordered = mine[order]
    occurrence = np.arange(len(mine)) - np.searchsorted(ordered, ordered)  # 0 for the first of equal rows
    others = np.sort(theirs)
    offered = np.searchsorted(others, ordered, "right") - np.searchsorted(others, ordered)
    shared = np.empty(len(mine), np.bool_)
    shared[order] = occurrence < offered
    return shared


def _num_shared(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> int:
    return int(_shared(a, b).sum())


def _paired(a: _Mixture, b: _Mixture) -> list[tuple[int | None, int | None]]:
    keys: Iterable[Callable[[Any], Any]] = (
        lambda one: (one.get("for"), _content(one), one.get("label")) if _content(one) else None,
        lambda one: (one.get("for"), _content(one)) if _content(one) else None,
        lambda one: _content(one),
        lambda one: (one.get("for"), one.get("label")),
        lambda one: one.get("label"),
    )
    return changes.paired(a.report["sources"], b.report["sources"], tuple(keys))


def _content(source: Mapping[str, Any]) -> str | None:
    found = source.get("identity")
    return repr(identity.content(found)) if isinstance(found, Mapping) else None


def _parameters(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[changes.Change]:
    """What was asked otherwise; of mixtures of an older version only what their reports say."""
    try:
        return changes.between(a["inputs"], b["inputs"])
    except (KeyError, TypeError, AttributeError, ValueError):
        named = ("combine", "order", "seed", "kind", "parameters")
        return changes.between_trees({name: a.get(name) for name in named}, {name: b.get(name) for name in named})


def _text(row: Mapping[str, Any]) -> str:
    """The beginning of what a row says."""
    parts = []
    for name, value in row.items():
        if name in ("source", "place") or value is None:
            continue
        turns = value if isinstance(value, list) else []
        said = " ".join(f"{turn.get('role')}: {turn.get('content')}" for turn in turns) if turns else str(value)
        parts.append(said if name in ("messages", "text") else f"{name}: {said}")
    text = " ".join(" ".join(parts).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
