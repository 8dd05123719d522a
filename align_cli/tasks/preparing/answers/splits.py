"""One split of a mixture becomes what preference trainers read: pairs of answers, judged answers, or scored wholes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from align_cli.tasks.preparing.answers.answering import Answering
from align_cli.tasks.preparing.answers.encoded import Answers, Ragged, cut
from align_cli.tasks.preparing.findings import Findings
from align_cli.tasks.preparing.flow import Arrived, Flow
from align_cli.tasks.preparing.rendering import AnswersRendering
from align_cli.tasks.preparing.sequences.splits import Split
from align_cli.tasks.preparing.settings import Chosen
from align_cli.tasks.preparing.statistics import Statistics
from align_cli.tasks.preparing.streams import ListWriter, RowBatch

if TYPE_CHECKING:
    import numpy as np

#: `pairs`: prompt_ids, chosen_ids, rejected_ids. `judged`: prompt_ids, completion_ids, label.
#: `scored`: chosen_ids and rejected_ids, each with its prompt, never cut.
Form = Literal["pairs", "judged", "scored"]

_COLUMNS: dict[Form, tuple[str, ...]] = {
    "pairs": ("prompt_ids", "chosen_ids", "rejected_ids"),
    "judged": ("prompt_ids", "completion_ids"),
    "scored": ("chosen_ids", "rejected_ids"),
}
#: Rows brought into another order at a time.
_REORDERED = 4096


@dataclass(frozen=True, kw_only=True)
class AnswerWork:
    """Everything that the splits share."""

    form: Form
    answering: Answering
    sources: Sequence[Mapping[str, Any]] = field(repr=False)
    """Those of the mixture's report."""

    @property
    def chosen(self) -> Chosen:
        """What the recipe decides about tokens."""
        return self.answering.chosen

    @property
    def paired(self) -> bool:
        """Whether the rows hold a chosen and a rejected answer; else one, with a label."""
        return self.answering.paired

    def split(self, rows: Path, target: Path, *, limit: int | None, evaluation: bool) -> Split:
        """Render, tokenise, part, cut and drop one split.

        Pairs that are to be judged become two answers each: all chosen answers in the rows' order, each followed by
        the rejected answer of a row half the split away, so that neighbours never share a prompt.

        Raises:
            DataError: the template refuses rows, and the mixture does not skip bad ones.
        """
        import numpy as np

        statistics, findings = Statistics(max(1, len(self.sources))), Findings()
        flags = ("label",) if self.form == "judged" else ()
        unpaired = self.form == "judged" and self.paired
        work = target.with_name(f".{target.name}.work") if unpaired else target
        with ListWriter(work, lists=_COLUMNS[self.form], flags=flags) as writer:
            for batch in self._flow.run(rows, limit, statistics, findings):
                kept, indices = self._kept(batch, statistics, findings)
                if self.form != "judged":
                    writer.write(self._columns(kept))
                elif self.paired:
                    for side, good in zip(kept.sides, (True, False), strict=True):
                        writer.write(self._columns(kept, side), [np.full(len(indices), good)])
                else:
                    labels = np.fromiter((bool(row["label"]) for row in batch.read.rows), bool)[indices]
                    writer.write(self._columns(kept, kept.sides[0]), [labels])
        if unpaired:
            _apart(work, target)
        return Split(sequences=writer.num_rows, statistics=statistics, findings=findings)

    @property
    def _flow(self) -> Flow[AnswersRendering, Answers]:
        answering = self.answering
        return Flow(
            render=answering.render,
            encode=answering.encode,
            shown=answering.shown if answering.conversational else None,
            sources=self.sources,
            skip_bad_rows=self.chosen.settings.skip_bad_rows,
            template=answering.renderer.template.source if answering.renderer.template else "",
            keeps_rows=not self.paired,
        )

    def _columns(self, kept: Answers, side: Ragged | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
        if self.form == "scored":
            return [(whole.ids, whole.lengths) for whole in kept.wholes()]
        parts = (kept.prompts, *(kept.sides if side is None else (side,)))
        return [(part.ids, part.lengths) for part in parts]

    def _kept(self, batch: Arrived[Answers], statistics: Statistics, findings: Findings) -> tuple[Answers, np.ndarray]:
        """Rows that are trained on, cut to their limits, and their indices in the batch; what goes is counted."""
        import numpy as np

        whole, indices, sources = batch.encoded, batch.accepted, batch.sources
        prompts = whole.prompts.lengths
        for side in whole.sides:
            statistics.measure(prompts + side.lengths)
        if whole.parted.any():
            findings.note(
                "other prompt" if self.answering.conversational else "merged prompt", batch.read, indices[whole.parted]
            )
        stays = self._fitting(whole, batch.read, indices, sources, statistics, findings)
        whole, indices, sources = whole.select(stays), indices[stays], sources[stays]
        kept = whole if self.form == "scored" else cut(whole, self.chosen.limits)
        self._count_cut(whole, kept, sources, statistics)
        empty = self._empty(kept)
        statistics.drop("no trained token left at max_length", sources[empty])
        findings.note("loss after max_length", batch.read, indices[empty])
        kept, indices, sources = kept.select(~empty), indices[~empty], sources[~empty]
        if self.paired and kept is not whole:
            findings.note("equal within max_length", batch.read, indices[_equal(*kept.sides)])
        in_loss = np.sum([side.lengths for side in kept.sides], axis=0)
        statistics.keep(sources, len(kept.sides) * kept.prompts.lengths + in_loss, in_loss)
        return kept, indices

    def _fitting(
        self,
        whole: Answers,
        read: RowBatch,
        indices: np.ndarray,
        sources: np.ndarray,
        statistics: Statistics,
        findings: Findings,
    ) -> np.ndarray:
        """(rows,) bool: rows that are short enough to be trained on at all."""
        import numpy as np

        settings, prompts = self.chosen.settings, whole.prompts.lengths
        stays: np.ndarray = np.ones(len(prompts), bool)
        rules: list[tuple[np.ndarray, str, str]] = []
        if settings.max_length is not None and self.form == "scored":
            long = prompts + whole.longest > settings.max_length
            rules.append((long, "longer than max_length", "too long to score"))
        if settings.drop_long_prompts and settings.max_prompt_length is not None:
            long = prompts >= settings.max_prompt_length
            rules.append((long, "prompt as long as max_prompt_length", "long prompt"))
        for long, reason, kind in rules:
            gone = long & stays
            statistics.drop(reason, sources[gone])
            findings.note(kind, read, indices[gone])
            stays &= ~long
        return stays

    def _count_cut(self, whole: Answers, kept: Answers, sources: np.ndarray, statistics: Statistics) -> None:
        if kept is whole:
            return
        lost = sum(before.lengths - after.lengths for before, after in zip(whole.sides, kept.sides, strict=True))
        asked = (whole.prompts.lengths - kept.prompts.lengths) * len(whole.sides)
        statistics.count("truncated", sources[lost + asked > 0])
        statistics.count("cut_tokens", sources, lost + asked)
        statistics.count("cut_in_loss", sources, lost)

    def _empty(self, kept: Answers) -> np.ndarray:
        """(rows,) bool: rows with an answer of which nothing is left."""
        import numpy as np

        empty: np.ndarray = np.any([side.lengths == 0 for side in kept.sides], axis=0)
        return empty


def _equal(one: Ragged, other: Ragged) -> np.ndarray:
    """(rows,) bool: rows of the same tokens."""
    import numpy as np

    equal: np.ndarray = one.lengths == other.lengths
    starts = one.lengths.cumsum() - one.lengths
    others = other.lengths.cumsum() - other.lengths
    for row in np.flatnonzero(equal).tolist():
        length = one.lengths[row]
        mine = one.ids[starts[row] : starts[row] + length]
        equal[row] = np.array_equal(mine, other.ids[others[row] : others[row] + length])
    return equal


def _apart(work: Path, target: Path) -> None:
    """Bring an Arrow stream of answers by side into one where good and bad alternate and no neighbours share a prompt.

    `work` holds, batch by batch, the chosen answers of its pairs and then their rejected ones; it is removed.
    """
    import numpy as np
    import pyarrow as pa

    with pa.memory_map(str(work)) as file, pa.ipc.open_stream(file) as reader:
        table = reader.read_all()
        good = table.column("label").to_numpy()
        chosen, rejected = np.flatnonzero(good), np.flatnonzero(~good)
        order = np.empty(len(good), np.int64)
        order[::2], order[1::2] = chosen, np.roll(rejected, -(len(rejected) // 2))
        with pa.OSFile(str(target), "wb") as out, pa.ipc.new_stream(out, table.schema) as stream:
            for start in range(0, len(order), _REORDERED):
                stream.write_table(table.take(order[start : start + _REORDERED]))
    work.unlink()
