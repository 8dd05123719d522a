"""What is counted while rows become tokens, for each source and together, and one sample with its loss mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from align_cli.models.tokenizer import Tokenizer
from align_cli.tasks.preparing.encoding import IGNORED

if TYPE_CHECKING:
    import numpy as np

_SAMPLE_TOKENS = 400
_COUNTS = ("rows", "kept", "truncated", "tokens", "in_loss", "cut_tokens", "cut_in_loss")


@dataclass
class Statistics:
    """Counts of one split, per source. Lengths are those of whole rows, before truncation, in tokens."""

    num_sources: int = 1
    counts: dict[str, np.ndarray] = field(default_factory=dict)
    """Name -> (sources,) int64."""
    dropped: dict[str, np.ndarray] = field(default_factory=dict)
    """Reason -> (sources,) int64 rows that are not trained on."""
    _lengths: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        import numpy as np

        self.counts = {name: np.zeros(self.num_sources, np.int64) for name in _COUNTS}

    def count(self, name: str, sources: np.ndarray, amounts: np.ndarray | None = None) -> None:
        """Add one, or `amounts`, for each of the rows whose sources are given."""
        self.counts[name] += self._by_source(sources, amounts)

    def drop(self, reason: str, sources: np.ndarray) -> None:
        """Count rows that will not be trained on, given by their sources."""
        if len(sources):
            before = self.dropped.get(reason, 0)
            self.dropped[reason] = before + self._by_source(sources, None)

    def measure(self, lengths: np.ndarray) -> None:
        """Remember the lengths of whole rows."""
        import numpy as np

        self._lengths.append(lengths.astype(np.int32))

    def keep(self, sources: np.ndarray, tokens: np.ndarray, in_loss: np.ndarray) -> None:
        """Count what will be trained on: rows by their sources, each with its tokens and those in the loss."""
        self.count("kept", sources)
        self.count("tokens", sources, tokens)
        self.count("in_loss", sources, in_loss)

    def total(self, name: str) -> int:
        """A count over all sources."""
        return int(self.counts[name].sum())

    def all_dropped(self) -> dict[str, int]:
        """Reason -> rows, over all sources."""
        return {reason: int(rows.sum()) for reason, rows in self.dropped.items()}

    def as_dict(self) -> dict[str, Any]:
        """The part of the report that concerns one split."""
        tokens, in_loss = self.total("tokens"), self.total("in_loss")
        lengths = self._all_lengths()
        return {
            "tokens": {
                "train": tokens,
                "in_loss": in_loss,
                "share_in_loss": round(in_loss / tokens, 4) if tokens else 0.0,
            },
            "lengths": _quantiles(lengths),
            "histogram": histogram(lengths),
            "truncated": self.total("truncated"),
            "truncation": {
                "rows": self.total("truncated"),
                "tokens": self.total("cut_tokens"),
                "in_loss": self.total("cut_in_loss"),
            },
            "dropped": self.all_dropped(),
        }

    def of_source(self, number: int) -> dict[str, Any]:
        """The counts of one source: rows that arrived, and what is trained of them."""
        counts = {name: int(self.counts[name][number]) for name in ("rows", "tokens", "in_loss", "truncated")}
        dropped = {reason: int(rows[number]) for reason, rows in self.dropped.items() if rows[number]}
        return {**counts, "dropped": dropped}

    def _by_source(self, sources: np.ndarray, amounts: np.ndarray | None) -> np.ndarray:
        import numpy as np

        # Weights are floats: exact up to 2**53, far above what a batch holds.
        counted: np.ndarray = np.bincount(sources, amounts, self.num_sources).astype(np.int64)
        return counted

    def _all_lengths(self) -> np.ndarray:
        import numpy as np

        every: np.ndarray = np.concatenate([*self._lengths, np.zeros(0, np.int32)])
        return every


def histogram(lengths: np.ndarray) -> dict[str, list[int]]:
    """How many rows have between `edges[i]` and `edges[i + 1] - 1` tokens.

    Bins end at 16, 32, 48, 64, 96, 128, … tokens, so that a round max_length lies on a border.
    """
    import numpy as np

    longest = int(lengths.max()) if len(lengths) else 0
    ends = [16, 32]
    while ends[-1] < longest:
        ends += [ends[-1] * 3 // 2, ends[-1] * 2]
    if len(ends) > 1 and ends[-2] >= longest:
        ends.pop()
    edges = [0, *(end + 1 for end in ends)]
    counts, _ = np.histogram(lengths, bins=edges)
    return {"edges": edges, "counts": counts.tolist()}


def _quantiles(lengths: np.ndarray) -> dict[str, int]:
    import numpy as np

    if not len(lengths):
        return {"min": 0, "median": 0, "p95": 0, "max": 0}
    values = np.quantile(lengths, [0, 0.5, 0.95, 1], method="nearest")
    return dict(zip(("min", "median", "p95", "max"), map(int, values), strict=True))


def sample(path: Path, tokenizer: Tokenizer) -> list[list[Any]]:
    """The first row of a token stream as `[text, in_loss]` pieces, cut after some hundred tokens; None: a heading.

    Of a packed sequence only the first row is shown, of a pair both answers.
    """
    import pyarrow as pa

    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
        batch = next(iter(reader), None)
        if batch is None:
            return []
        row = {name: batch.column(name)[0].as_py() for name in batch.schema.names}
    if "input_ids" not in row:
        return _sample_of_answers(row, tokenizer)
    length = min(row.get("seq_lengths", [_SAMPLE_TOKENS])[0], _SAMPLE_TOKENS)
    in_loss = [label != IGNORED for label in row["labels"][:length]]
    return [list(segment) for segment in segments(row["input_ids"][:length], in_loss, tokenizer)]


def _sample_of_answers(row: Mapping[str, Any], tokenizer: Tokenizer) -> list[list[Any]]:
    """A pair, a judged answer, or two whole answers that are scored."""
    prompt = row.get("prompt_ids") or []
    made: list[list[Any]] = []
    for side in ("chosen", "rejected", "completion"):
        if (answer := row.get(f"{side}_ids")) is None:
            continue
        name = side if "label" not in row else "good" if row["label"] else "bad"
        made.append(["\n" * bool(made) + f"{name}:\n", None])
        ids = [*prompt, *answer][:_SAMPLE_TOKENS]
        in_loss = [number >= len(prompt) and "prompt_ids" in row for number in range(len(ids))]
        made += [list(segment) for segment in segments(ids, in_loss, tokenizer)]
    return made


def segments(ids: Sequence[int], in_loss: Sequence[bool], tokenizer: Tokenizer) -> list[tuple[str, bool]]:
    """The tokens as text, in pieces that are wholly in the loss or outside it."""
    if not len(ids):
        return []
    ends = [i for i in range(1, len(ids)) if in_loss[i] != in_loss[i - 1]] + [len(ids)]
    found: list[tuple[str, bool]] = []
    start, before = 0, ""
    for end in ends:
        # All of the text so far is decoded: some decoders drop the white space with which they begin.
        through = tokenizer.backend.decode(list(ids[:end]), skip_special_tokens=False)
        if through.startswith(before):
            text = through[len(before) :]
        else:  # a character lies on both sides of the border
            text = tokenizer.backend.decode(list(ids[start:end]), skip_special_tokens=False)
        found.append((text, bool(in_loss[start])))
        start, before = end, through
    return found
