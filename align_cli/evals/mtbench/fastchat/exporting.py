"""FastChat's files out of evaluation folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from align_cli import files
from align_cli.errors import UsageError
from align_cli.evals.folder import Evaluation
from align_cli.evals.judgments import Judgment, judgments_of
from align_cli.evals.mtbench.fastchat import rows
from align_cli.evals.mtbench.fastchat.answers import rows_of
from align_cli.evals.mtbench.fastchat.judgments import pair_row_of, single_row_of
from align_cli.evals.mtbench.fastchat.rows import ANSWERS, JUDGMENTS, Row
from align_cli.evals.mtbench.games import matches
from align_cli.evals.mtbench.prompts import REFERENCES, references_of


def export_fastchat(evaluations: Sequence[Evaluation], to: Path) -> list[Path]:
    """Write `to/model_answer/MODEL.jsonl` and `to/model_judgment/JUDGE_{single,pair}.jsonl`; the paths.

    FastChat's tools take a file's name for the model's, so a name is made fit for files everywhere: `/` becomes `-`.
    It has no word for which references were shown: judgments with other than the usual ones make a file of their own,
    `JUDGE+REFERENCES_single.jsonl`, and two endpoints of a judge `JUDGE_…` and `JUDGE-2_…`.

    Raises:
        UsageError: an evaluation is of another benchmark, two are of one model, or a file is there already.
    """
    others = [str(one.path) for one in evaluations if one.benchmark != "mtbench"]
    if others:
        raise UsageError(f"{', '.join(others)}: not an evaluation with mtbench; FastChat's files are for that one")
    judgments = {one.key: one for it in evaluations for one in judgments_of(it.judgments())}
    _see_that_names_differ(evaluations, judgments.values())
    written: dict[Path, Sequence[Row]] = {}
    for evaluation in evaluations:
        model = _file_name(evaluation.model)
        written[to / ANSWERS / f"{model}.jsonl"] = rows_of(model, evaluation.answers())
    for name, its in _by_judge(list(judgments.values())).items():
        written[to / JUDGMENTS / f"{name}_single.jsonl"] = [single_row_of(one) for one in its if not one.is_pair]
        written[to / JUDGMENTS / f"{name}_pair.jsonl"] = [pair_row_of(match) for match in matches(its)]
    written = {path: lines for path, lines in written.items() if lines}
    if there := [str(path) for path in written if path.exists()]:
        raise UsageError(f"{', '.join(there)}: already there", hint="name another folder: nothing is written over")
    if reason := files.obstacle(to / ANSWERS / "any"):
        raise UsageError(f"{to}: nothing can be written there: {reason}")
    for path, lines in written.items():
        rows.write(path, lines)
    return list(written)


def _file_name(name: str) -> str:
    return name.replace("/", "-")


def _see_that_names_differ(evaluations: Sequence[Evaluation], judgments: Iterable[Judgment]) -> None:
    """Each model is in one evaluation, and has a file name of its own."""
    owners = Counter(evaluation.model for evaluation in evaluations)
    if twice := [model for model, number in owners.items() if number > 1]:
        raise UsageError(f"several evaluations are of {', '.join(twice)}", hint="export one of them")
    names = dict.fromkeys([*owners, *(model for one in judgments for model in one.models)])
    shared = {name for name, number in Counter(map(_file_name, names)).items() if number > 1}
    if shared:
        models = ", ".join(name for name in names if _file_name(name) in shared)
        raise UsageError(f"the models {models} would share a file", hint="export one of them")


def _by_judge(judgments: Sequence[Judgment]) -> Mapping[str, list[Judgment]]:
    """What goes into one file, by the first part of its name: a judge's, with one set of references."""
    judges = list(dict.fromkeys((one.judge["model"], one.judge["endpoint"]) for one in judgments))
    found: dict[str, list[Judgment]] = {}
    for model, endpoint in judges:
        its = [one for one in judgments if (one.judge["model"], one.judge["endpoint"]) == (model, endpoint)]
        place = [endpoint for other, endpoint in judges if other == model].index(endpoint)
        name = _file_name(model) + (f"-{place + 1}" if place else "")
        shown = [references_of(one.prompt) for one in its]
        for references in dict.fromkeys(filter(None, shown)) or [REFERENCES[0]]:
            full = name if references == REFERENCES[0] else f"{name}+{references}"
            found[full] = [_named(one) for one, its in zip(its, shown, strict=True) if its in (None, references)]
    return found


def _named(judgment: Judgment) -> Judgment:
    """With the models' names as files have them."""
    winner = judgment.winner and _file_name(judgment.winner)
    return replace(judgment, models=tuple(map(_file_name, judgment.models)), winner=winner)
