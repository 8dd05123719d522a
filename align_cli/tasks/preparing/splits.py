"""One split of a mixture becomes the sequences that are trained on: rendered, tokenised, masked, cut, packed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from align_cli.errors import DataError, Problem
from align_cli.tasks.preparing import faithful
from align_cli.tasks.preparing.encoding import Encoded, encode
from align_cli.tasks.preparing.findings import Findings, place_in
from align_cli.tasks.preparing.packing import Packed, pack
from align_cli.tasks.preparing.rendering import Renderer, Rendering
from align_cli.tasks.preparing.scratch import Scratch
from align_cli.tasks.preparing.settings import Chosen
from align_cli.tasks.preparing.statistics import Statistics
from align_cli.tasks.preparing.streams import RowBatch, TokenWriter, read_rows

if TYPE_CHECKING:
    import numpy as np

_SHOWN = 10  # bad rows named in one error
_REFUSED = "refused by the chat template"
#: Batches that are tokenised while the next is rendered: the threads of one fill the gaps that another leaves.
_AT_ONCE = 2


@dataclass(frozen=True, kw_only=True)
class Split:
    """One split on disk: how many sequences it has, and what was counted on the way."""

    sequences: int
    statistics: Statistics
    findings: Findings
    packed: Packed | None
    cut_tokens: int = 0
    """Tokens that packing left over."""


class _Batch(NamedTuple):
    """Rows on their way: the batch as it was read, and which of its rows the template accepted."""

    read: RowBatch
    accepted: np.ndarray
    """(accepted rows,) int64: indices into the batch."""
    encoded: Future[Encoded]


@dataclass(frozen=True, kw_only=True)
class Work:
    """Everything that the splits share."""

    chosen: Chosen
    renderer: Renderer
    conversational: bool
    sources: Sequence[Mapping[str, Any]] = field(repr=False)
    """Those of the mixture's report."""

    def split(self, rows: Path, target: Path, *, limit: int | None, evaluation: bool) -> Split:
        """Render, tokenise, mask, truncate, drop and pack one split.

        Raises:
            DataError: the template refuses rows, and the mixture does not skip bad ones.
        """
        settings = self.chosen.settings
        strategy = settings.eval_packing if evaluation else settings.packing
        reorder = strategy is not None or settings.shuffle_seed is not None
        statistics, findings = Statistics(max(1, len(self.sources))), Findings()
        encoded = self._encoded(rows, limit, statistics, findings, cut=strategy in (None, "bfd"))
        if not reorder:
            with TokenWriter(target, packed=False) as writer:
                for batch in encoded:
                    writer.write(batch)
            return Split(sequences=writer.num_sequences, statistics=statistics, findings=findings, packed=None)
        scratch = Scratch(target.parent)
        for batch in encoded:
            scratch.add(batch)
        return self._reordered(scratch, target, statistics, findings, strategy)

    def _reordered(
        self, scratch: Scratch, target: Path, statistics: Statistics, findings: Findings, strategy: Any
    ) -> Split:
        """Shuffle as `datasets` does and pack."""
        import numpy as np

        settings = self.chosen.settings
        lengths = scratch.lengths()
        if strategy is None:
            starts = lengths.cumsum() - lengths
            packed = Packed(starts, lengths, np.arange(len(lengths) + 1), separate=False)
        else:
            assert settings.max_length is not None
            packed = pack(lengths, settings.max_length, strategy, drop_remainder=settings.drop_remainder)
        order = None
        if settings.shuffle_seed is not None:
            order = np.random.default_rng(settings.shuffle_seed).permutation(len(packed))
        with TokenWriter(target, packed=packed.separate) as writer:
            scratch.write(packed, writer, order)
        return Split(
            sequences=writer.num_sequences,
            statistics=statistics,
            findings=findings,
            packed=packed if strategy is not None else None,
            cut_tokens=int(lengths.sum() - packed.lengths.sum()),
        )

    def _encoded(
        self, path: Path, limit: int | None, statistics: Statistics, findings: Findings, *, cut: bool
    ) -> Iterator[Encoded]:
        """Batches of encoded rows; some are rendered while the Rust tokenizer, without the GIL, encodes others."""
        refused: list[Problem] = []
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            waiting: deque[_Batch] = deque()
            for read in read_rows(path, limit=limit):
                waiting.append(self._begun(read, pool, statistics, findings, refused))
                if len(waiting) > _AT_ONCE:
                    yield self._kept(waiting.popleft(), statistics, findings, cut=cut)
            while waiting:
                yield self._kept(waiting.popleft(), statistics, findings, cut=cut)
        if refused and not self.chosen.settings.skip_bad_rows:
            count = int(statistics.dropped[_REFUSED].sum())
            raise DataError(
                f"the chat template refuses {count:,} row{'' if count == 1 else 's'}",
                problems=refused,
                hint="repair the rows, choose another chat_template, or set on_bad_rows: skip in the mixture",
            )

    def _begun(
        self,
        read: RowBatch,
        pool: ThreadPoolExecutor,
        statistics: Statistics,
        findings: Findings,
        refused: list[Problem],
    ) -> _Batch:
        """Render a batch, look at what became of its rows, and have it tokenised."""
        import numpy as np

        rendering = self.renderer.render(read.rows)
        statistics.count("rows", read.sources)
        lost = [row for row, _ in rendering.refused]
        accepted = np.delete(np.arange(len(read.rows)), lost)
        statistics.drop(_REFUSED, read.sources[lost])
        for row, reason in rendering.refused[: _SHOWN - len(refused)]:
            place = place_in(self.sources, int(read.sources[row]), int(read.places[row]))
            refused.append(Problem(reason, f"{place} (row {read.first + row + 1} of the mixture)"))
        if self.conversational:
            self._compare(read, accepted, rendering, findings)
        chosen = self.chosen
        work = pool.submit(
            encode,
            rendering,
            chosen.tokenizer,
            add_special_tokens=chosen.adds_special_tokens(conversational=self.conversational),
            append=chosen.appended,
        )
        return _Batch(read._replace(rows=[]), accepted, work)

    def _compare(self, read: RowBatch, accepted: np.ndarray, rendering: Rendering, findings: Findings) -> None:
        for index, text in zip(accepted.tolist(), rendering.texts, strict=True):
            seen = set()
            for kind, word in faithful.missing(read.rows[index], text):
                findings.note(kind, read, () if kind in seen else (index,), word)
                seen.add(kind)

    def _kept(self, batch: _Batch, statistics: Statistics, findings: Findings, *, cut: bool) -> Encoded:
        """Rows after truncation that still hold a trained token; what goes is counted."""
        settings, encoded = self.chosen.settings, batch.encoded.result()
        rows, sources = batch.accepted, batch.read.sources[batch.accepted]
        statistics.measure(encoded.lengths)
        if encoded.merged is not None and encoded.merged.any():
            kind = "other prompt" if self.conversational else "merged prompt"
            findings.note(kind, batch.read, rows[encoded.merged])
        findings.note("double bos", batch.read, rows[self._begins_twice(encoded)])
        whole = encoded.trained_per_row()
        before = whole > 0
        limit = settings.max_length
        if cut and limit is not None and len(rows) and encoded.lengths.max() > limit:
            longer = encoded.lengths > limit
            lengths = encoded.lengths
            encoded = encoded.truncated(limit, keep_end=settings.keep_end)
            statistics.count("truncated", sources[longer])
            statistics.count("cut_tokens", sources, lengths - encoded.lengths)
            trained = encoded.trained_per_row()
            statistics.count("cut_in_loss", sources, whole - trained)
        else:
            trained = whole
        after = trained > 0
        for reason, kind, gone in (
            ("no trained token", "no trained token", ~before),
            ("no trained token left at max_length", "loss after max_length", before & ~after),
        ):
            statistics.drop(reason, sources[gone])
            findings.note(kind, batch.read, rows[gone])
        encoded = encoded.select(after)
        statistics.keep(encoded, sources[after])
        return encoded

    def _begins_twice(self, encoded: Encoded) -> np.ndarray:
        """(rows,) bool: rows whose first two tokens are both BOS."""
        import numpy as np

        bos = self.chosen.tokenizer.id_of(self.chosen.tokenizer.special.get("bos_token"))
        twice: np.ndarray = np.zeros(len(encoded.lengths), bool)
        if bos is not None:
            several = encoded.lengths > 1
            starts = encoded.starts[several]
            twice[several] = (encoded.ids[starts] == bos) & (encoded.ids[starts + 1] == bos)
        return twice
