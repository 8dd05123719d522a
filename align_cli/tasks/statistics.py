"""What is counted while rows become tokens, and one sample decoded with its loss mask."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from align_cli.models.tokenizer import Tokenizer
from align_cli.tasks.encoding import IGNORED, Encoded

if TYPE_CHECKING:
    import numpy as np

_SAMPLE_TOKENS = 400


@dataclass
class Statistics:
    """Counts of one split. Lengths are those of whole rows, before truncation, in tokens."""

    rows: int = 0
    kept: int = 0
    truncated: int = 0
    tokens: int = 0
    in_loss: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    _lengths: list[np.ndarray] = field(default_factory=list)

    def read(self, rows: int) -> None:
        """Count rows as they arrive."""
        self.rows += rows

    def drop(self, reason: str, rows: int) -> None:
        """Count rows that will not be trained on."""
        if rows:
            self.dropped[reason] = self.dropped.get(reason, 0) + rows

    def measure(self, lengths: np.ndarray) -> None:
        """Remember the lengths of whole rows."""
        self._lengths.append(lengths)

    def keep(self, encoded: Encoded) -> None:
        """Count what will be trained on."""
        self.kept += len(encoded.lengths)
        self.tokens += len(encoded.ids)
        self.in_loss += int(encoded.trained.sum())

    def as_dict(self) -> dict[str, Any]:
        """The part of the report that concerns one split."""
        share = round(self.in_loss / self.tokens, 4) if self.tokens else 0.0
        return {
            "tokens": {"train": self.tokens, "in_loss": self.in_loss, "share_in_loss": share},
            "lengths": self._quantiles(),
            "truncated": self.truncated,
            "dropped": dict(self.dropped),
        }

    def _quantiles(self) -> dict[str, int]:
        import numpy as np

        lengths = np.concatenate([*self._lengths, np.zeros(0, np.int64)])
        if not len(lengths):
            return {"min": 0, "median": 0, "p95": 0, "max": 0}
        values = np.quantile(lengths, [0, 0.5, 0.95, 1], method="nearest")
        return dict(zip(("min", "median", "p95", "max"), map(int, values), strict=True))


def sample(path: Path, tokenizer: Tokenizer) -> list[list[Any]]:
    """The first row of a token stream as `[text, in_loss]` pieces; cut after some hundred tokens.

    Of a packed sequence only the first row is shown.
    """
    import pyarrow as pa

    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
        batch = next(iter(reader), None)
        if batch is None:
            return []
        row = {name: batch.column(name)[0].as_py() for name in batch.schema.names}
    length = min(row.get("seq_lengths", [_SAMPLE_TOKENS])[0], _SAMPLE_TOKENS)
    segments: list[tuple[list[int], bool]] = []
    for token, label in zip(row["input_ids"][:length], row["labels"][:length], strict=True):
        in_loss = label != IGNORED
        if not segments or segments[-1][1] != in_loss:
            segments.append(([], in_loss))
        segments[-1][0].append(token)
    return [[tokenizer.backend.decode(ids, skip_special_tokens=False), in_loss] for ids, in_loss in segments]
