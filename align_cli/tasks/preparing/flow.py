"""The way of a split's rows to tokens: read, rendered, compared with what was said, tokenised; a batch at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from align_cli.errors import DataError, Problem
from align_cli.tasks.preparing import faithful
from align_cli.tasks.preparing.findings import Findings, place_in
from align_cli.tasks.preparing.rendering import Refusal, Row
from align_cli.tasks.preparing.statistics import Statistics
from align_cli.tasks.preparing.streams import RowBatch, read_rows

if TYPE_CHECKING:
    import numpy as np

_SHOWN = 10  # bad rows named in one error
_REFUSED = "refused by the chat template"
#: Batches that are tokenised while the next is rendered: the threads of one fill the gaps that another leaves.
_AT_ONCE = 2


class Refusing(Protocol):
    """What rendering gives: texts in a form of its own, and the rows without any."""

    refused: list[Refusal]


R = TypeVar("R", bound=Refusing)
E = TypeVar("E")


@dataclass(frozen=True)
class Arrived(Generic[E]):
    """A batch as it was read, which of its rows the template accepted, and these as tokens."""

    read: RowBatch
    accepted: np.ndarray
    """(accepted rows,) int64: indices into the batch."""
    encoded: E

    @property
    def sources(self) -> np.ndarray:
        """(accepted rows,) int64: the source of each."""
        sources: np.ndarray = self.read.sources[self.accepted]
        return sources


class _Waiting(NamedTuple):
    read: RowBatch
    accepted: np.ndarray
    encoded: Future[Any]


@dataclass(frozen=True, kw_only=True)
class Flow(Generic[R, E]):
    """How the rows of one mixture are rendered and tokenised."""

    render: Callable[[Sequence[Row]], R]
    encode: Callable[[R], E]
    shown: Callable[[Row, int, R], Iterator[tuple[Row, str]]] | None
    """What row, rendered as number `int` of the batch's accepted ones, became: (row, text) for each of its texts.

    None for rows without turns: what they say is what they are.
    """
    sources: Sequence[Mapping[str, Any]] = field(repr=False)
    """Those of the mixture's report."""
    skip_bad_rows: bool
    template: str
    """Where the chat template comes from; empty where there is none."""
    keeps_rows: bool = False
    """Whether the rows themselves are wanted beside their tokens."""

    def run(self, rows: Path, limit: int | None, statistics: Statistics, findings: Findings) -> Iterator[Arrived[E]]:
        """Batches in order; some are rendered while the Rust tokenizer, without the GIL, encodes others.

        Raises:
            DataError: the template refuses rows, and the mixture does not skip bad ones.
        """
        refused: list[tuple[int, int, str]] = []
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            waiting: deque[_Waiting] = deque()
            for read in read_rows(rows, limit=limit):
                waiting.append(self._begun(read, pool, statistics, findings, refused))
                if len(waiting) > _AT_ONCE:
                    yield _arrived(waiting.popleft())
            while waiting:
                yield _arrived(waiting.popleft())
        if refused and not self.skip_bad_rows:
            count = int(statistics.dropped[_REFUSED].sum())
            rest = f"; {len(refused)} of them:" if count > len(refused) else ""
            raise DataError(
                f"the chat template ({self.template}) refuses {count:,} row{'' if count == 1 else 's'}{rest}",
                problems=[Problem(reason, place_in(self.sources, *place)) for *place, reason in sorted(refused)],
                hint="repair the rows, choose another chat_template, or set on_bad_rows: skip in the mixture",
            )

    def _begun(
        self,
        read: RowBatch,
        pool: ThreadPoolExecutor,
        statistics: Statistics,
        findings: Findings,
        refused: list[tuple[int, int, str]],
    ) -> _Waiting:
        """Render a batch, look at what became of its rows, and have it tokenised."""
        import numpy as np

        rendering = self.render(read.rows)
        statistics.count("rows", read.sources)
        lost = [row for row, _ in rendering.refused]
        accepted = np.delete(np.arange(len(read.rows)), lost)
        statistics.drop(_REFUSED, read.sources[lost])
        for row, reason in rendering.refused[: _SHOWN - len(refused)]:
            refused.append((int(read.sources[row]), int(read.places[row]), reason))
        if self.shown is not None:
            self._compare(read, accepted, rendering, findings)
        kept = read if self.keeps_rows else read._replace(rows=[])
        return _Waiting(kept, accepted, pool.submit(self.encode, rendering))

    def _compare(self, read: RowBatch, accepted: np.ndarray, rendering: R, findings: Findings) -> None:
        assert self.shown is not None
        for number, index in enumerate(accepted.tolist()):
            seen = set()
            for row, text in self.shown(read.rows[index], number, rendering):
                for kind, word in faithful.missing(row, text):
                    findings.note(kind, read, () if kind in seen else (index,), word)
                    seen.add(kind)


def _arrived(waiting: _Waiting) -> Arrived[Any]:
    return Arrived(waiting.read, waiting.accepted, waiting.encoded.result())
