"""One split of a mixture becomes the sequences that are trained on: rendered, tokenised, masked, cut, packed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from align_cli.tasks.preparing.encoding import Encoded, encode
from align_cli.tasks.preparing.findings import Findings
from align_cli.tasks.preparing.flow import Arrived, Flow
from align_cli.tasks.preparing.rendering import Renderer, Rendering, Row
from align_cli.tasks.preparing.sequences.packing import Packed, buffers, pack
from align_cli.tasks.preparing.sequences.scratch import Scratch
from align_cli.tasks.preparing.settings import Chosen
from align_cli.tasks.preparing.statistics import Statistics
from align_cli.tasks.preparing.streams import TokenWriter

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Split:
    """One split on disk: how many sequences (or pairs, or answers) it has, and what was counted on the way."""

    sequences: int
    statistics: Statistics
    findings: Findings
    packed: Packed | None = None
    cut_tokens: int = 0
    """Tokens that packing left over."""


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
        cut = strategy in (None, "bfd")
        arrived = self._flow.run(rows, limit, statistics, findings)
        encoded = (self._kept(batch, statistics, findings, cut=cut) for batch in arrived)
        if not reorder:
            with TokenWriter(target, packed=False) as writer:
                for batch in encoded:
                    writer.write_encoded(batch)
            return Split(sequences=writer.num_rows, statistics=statistics, findings=findings)
        scratch = Scratch(target.parent)
        for batch in encoded:
            scratch.add(batch)
        return self._reordered(scratch, target, statistics, findings, strategy)

    @property
    def _flow(self) -> Flow[Rendering, Encoded]:
        chosen = self.chosen

        def encoded(rendering: Rendering) -> Encoded:
            add = chosen.adds_special_tokens(conversational=self.conversational)
            return encode(rendering, chosen.tokenizer, add_special_tokens=add, append=chosen.appended)

        def shown(row: Row, number: int, rendering: Rendering) -> Iterator[tuple[Row, str]]:
            yield row, rendering.texts[number]

        return Flow(
            render=self.renderer.render,
            encode=encoded,
            shown=shown if self.conversational else None,
            sources=self.sources,
            skip_bad_rows=chosen.settings.skip_bad_rows,
            template=self.renderer.template.source if self.renderer.template else "",
        )

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
            buffer = settings.packing_buffer
            begins = buffers(scratch.characters(), buffer * settings.max_length) if buffer else None
            packed = pack(lengths, settings.max_length, strategy, drop_remainder=settings.drop_remainder, begins=begins)
        order = None
        if settings.shuffle_seed is not None:
            order = np.random.default_rng(settings.shuffle_seed).permutation(len(packed))
        with TokenWriter(target, packed=packed.separate) as writer:
            scratch.write(packed, writer, order)
        return Split(
            sequences=writer.num_rows,
            statistics=statistics,
            findings=findings,
            packed=packed if strategy is not None else None,
            cut_tokens=int(lengths.sum() - packed.lengths.sum()),
        )

    def _kept(self, batch: Arrived[Encoded], statistics: Statistics, findings: Findings, *, cut: bool) -> Encoded:
        """Rows after truncation that still hold a trained token; what goes is counted."""
        settings, encoded = self.chosen.settings, batch.encoded
        rows, sources = batch.accepted, batch.sources
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
        statistics.keep(sources[after], encoded.lengths, trained[after])
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
