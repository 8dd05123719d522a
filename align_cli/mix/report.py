"""What is said of a finished mixture: `mixture.json`, all of it plain JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from align_cli.mix.clean import STEPS
from align_cli.mix.gather import Gathered
from align_cli.mix.select import Selection, dropped
from align_cli.mix.sources.locate import Located
from align_cli.recipe import understood
from align_cli.recipe.schema import Mixture

_EXAMPLES = 3  # rows shown for each step of cleaning


def make(
    mixture: Mixture,
    gathered: Sequence[Gathered],
    identities: Sequence[dict[str, Any]],
    selection: Selection,
    *,
    kind: str,
    notes: Sequence[str],
    result: dict[str, str],
) -> dict[str, Any]:
    """The report of a build."""
    import numpy as np

    evaluation, num_sources = selection.evaluation, len(mixture.sources)
    rows, said = [], list(notes)
    for number, one in enumerate(gathered):
        role, order = ("train", selection.train) if number < num_sources else ("eval", evaluation)
        mine = order.row[order.source == number]
        tokens = selection.lengths[number]
        usable = one.places[one.places >= 0]
        rows.append(
            {
                "label": one.located.source.label,
                "path": one.located.source.path,
                "for": role,
                "kind": one.located.kind,
                "layout": one.fit.layout.name,
                "taken": understood.of_source(one.located.source, mixture),
                "read": len(one.places),
                "available": int((one.step[usable] == 0).sum()),
                "unique": len(np.unique(mine)),
                "kept": len(mine),
                "held_out": int((selection.held_out.source == number).sum()) if role == "train" else 0,
                "share": round(len(mine) / len(order.row), 6) if len(order.row) else 0.0,
                "tokens": int(tokens[mine].sum()) if tokens is not None else None,
                "dropped": dropped(one),
                "repaired": dict(one.repaired),
                "bad_rows": [{"where": bad.where, "reason": bad.message} for bad in one.shown],
                "files": [[file.shown, first] for file, first, _ in one.files],
                "identity": identities[number],
            }
        )
        if not len(mine):
            said.append(f"{one.located.source.label}: no row of it is used")
    if selection.num_common and mixture.combine == "native":
        said.append(
            f"{selection.num_common:,} chosen rows repeat another source's and were left out; shares, totals and "
            "budgets hold before that"
        )
    return {
        "result": result,
        "combine": mixture.combine,
        "order": mixture.order,
        "seed": mixture.seed,
        "kind": kind,
        "parameters": {
            **{name: getattr(mixture, name) for name in ("rows", "tokens", "temperature", "oversample")},
            "held_out": mixture.held_out,
            "on_bad_rows": mixture.on_bad_rows,
            "clean": asdict(mixture.clean),
        },
        "sources": rows,
        "num_train": len(selection.train.row),
        "num_eval": len(evaluation.row),
        "cleaned": _cleaned(gathered),
        "notes": said,
    }


def refreshed(report: dict[str, Any], mixture: Mixture, located: Sequence[Located]) -> dict[str, Any]:
    """A stored report in today's names: the same rows may have been called otherwise when they were built."""
    for entry, source, one in zip(report["sources"], (*mixture.sources, *mixture.eval), located, strict=True):
        entry["label"], entry["path"] = source.label, source.path
        names = [file.shown for file in dict.fromkeys(file for part in one.parts for file in part.files)]
        if len(names) == len(entry["files"]):
            entry["files"] = [[name, first] for name, (_, first) in zip(names, entry["files"], strict=True)]
    report["notes"] = [note for one in located for note in one.notes] + report["notes"]
    return report


def _cleaned(gathered: Sequence[Gathered]) -> dict[str, Any]:
    import numpy as np

    counts: Counter[str] = Counter()
    examples = []
    for one in gathered:
        asked = np.zeros(len(one.step), bool)
        asked[one.places[one.places >= 0]] = True
        for code, step in enumerate(STEPS, 1):
            rows = np.flatnonzero((one.step == code) & asked)
            shown = rows[: max(_EXAMPLES - counts[step], 0)].tolist()
            examples += [{"step": step, "where": one.where(row), "why": one.why.get(row, "")} for row in shown]
            counts[step] += len(rows)
    return {"steps": dict(+counts), "examples": examples}
