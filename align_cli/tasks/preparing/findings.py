"""What is odd about the rows as tokens: counted where it is met, with one example, and said in sentences.

Counts are kept with the tokens; sentences are made when they are read, so that an example's place has today's names.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from align_cli.tasks.preparing.streams import RowBatch

#: Share of tokens in the loss below which it is said.
_FEW = 0.1

#: Kind -> sentence; `{rows}` is "3 rows", `{what}` the words that were met, `{limit}` max_length.
_SENTENCES = {
    "turn": "the chat template leaves out what is said in {rows} ({what} turns): it will not be trained on",
    "tool call": "the chat template leaves out the tool calls of {rows}",
    "tools": "the chat template leaves out the tools of {rows}",
    "reasoning": "the chat template leaves out reasoning in {rows}; templates of reasoning models do so on purpose",
    "empty system": "{rows} with an empty system turn: the model learns to expect one",
    "no trained token": "{rows} without any token in the loss, left out",
    "loss after max_length": "{rows} with nothing in the loss within max_length {limit}, left out: "
    "what comes before is too long alone",
    "too long to score": "{rows} longer than max_length {limit}, left out: a score is given to a whole answer",
    "long prompt": "{rows} whose prompt has max_prompt_length tokens or more, left out",
    "equal within max_length": "{rows} whose two answers are equal within max_length {limit}: they teach nothing",
    "merged prompt": "{rows} whose prompt ends in the middle of a token: that token is trained as part of the "
    "completion (as TRL does), but never seen so when the model is used; end prompts before the white space",
    "other prompt": "{rows} whose prompt is rendered differently once the completion follows: "
    "the loss begins where the two part (as TRL does)",
    "double bos": "{rows} with two BOS tokens at the start: take the one in the text or the template away",
}


@dataclass
class Findings:
    """Rows that something was noticed about: how many, in which words, and the first of them."""

    counts: dict[str, int] = field(default_factory=dict)
    words: dict[str, set[str]] = field(default_factory=dict)
    first: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Kind -> the example's (source, place)."""

    def note(self, kind: str, batch: RowBatch, rows: Iterable[int], word: str = "") -> None:
        """Something about the rows of a batch with these indices."""
        for row in rows:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            if kind not in self.first:
                self.first[kind] = int(batch.sources[row]), int(batch.places[row])
        if word:
            self.words.setdefault(kind, set()).add(word)

    def as_list(self) -> list[dict[str, Any]]:
        """JSON-able, in the order in which they are said."""
        return [
            {
                "kind": kind,
                "rows": self.counts[kind],
                "what": sorted(self.words.get(kind, ())),
                "first": self.first[kind],
            }
            for kind in _SENTENCES
            if kind in self.counts
        ]


def sentences(report: Mapping[str, Any], sources: Sequence[Mapping[str, Any]]) -> list[str]:
    """The warnings of a preparation's report; `sources` are those of the mixture's report."""
    said = []
    for found in report["findings"]:
        rows = _rows(found["rows"])
        words = " and ".join(found["what"])
        place = place_in(sources, *found["first"])
        sentence = _SENTENCES[found["kind"]].format(rows=rows, what=words, limit=report["max_length"])
        said.append(f"{sentence} (e.g. {place})" if found["rows"] > 1 else f"{sentence} ({place})")
    cut = report["truncation"]
    if cut["in_loss"]:
        said.append(
            f"max_length {report['max_length']} cuts {cut['in_loss']:,} tokens in the loss, of {_rows(cut['rows'])}"
        )
    tokens = report["tokens"]
    if tokens["train"] and tokens["share_in_loss"] < _FEW:
        said.append(
            f"only {tokens['share_in_loss']:.1%} of the tokens are in the loss: the rest costs time and teaches nothing"
        )
    return said


def place_in(sources: Sequence[Mapping[str, Any]], source: int, place: int) -> str:
    """Where a row comes from: its file and its number there from 1, or its source where no more is known."""
    if not 0 <= source < len(sources):
        return "a row of the mixture"
    entry = sources[source]
    files = entry.get("files") or ()
    if place < 0 or not files:
        return f"{entry['label']}, row {place + 1:,}" if place >= 0 else str(entry["label"])
    name, first = files[max(0, bisect_right([start for _, start in files], place) - 1)]
    return f"{name}, row {place - first + 1:,}"


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
