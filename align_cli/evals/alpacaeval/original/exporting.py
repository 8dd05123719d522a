"""alpaca_eval's files out of evaluation folders, laid out as a submission to its leaderboard has them."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from align_cli import files
from align_cli.errors import DataError, UsageError
from align_cli.evals.alpacaeval.evaluation_set import questions as own_questions
from align_cli.evals.alpacaeval.evaluation_set import reference as own_reference
from align_cli.evals.alpacaeval.original import rows
from align_cli.evals.alpacaeval.original.annotations import row_of
from align_cli.evals.alpacaeval.original.model_configs import CONFIGS as CONFIGS_FILE
from align_cli.evals.alpacaeval.original.model_configs import PROMPT, model_config
from align_cli.evals.alpacaeval.original.rows import ANNOTATIONS, CONFIGS, LEADERBOARD, OUTPUTS, RESULTS, Row
from align_cli.evals.alpacaeval.versions import Version
from align_cli.evals.benchmark import Assets, Question
from align_cli.evals.folder import Evaluation, slug
from align_cli.evals.judgments import Judgment, judgments_of, record_of

#: `leaderboard.csv`, after the model's name; all but `mode` are the report's.
_COLUMNS = (
    "win_rate",
    "standard_error",
    "n_wins",
    "n_wins_base",
    "n_draws",
    "n_total",
    "discrete_win_rate",
    "mode",
    "avg_length",
    "length_controlled_winrate",
    "lc_standard_error",
)
_MODE = "community"  # what the original calls results that its authors have not made again


def export_original(version: Version, evaluations: Sequence[Evaluation], to: Path) -> list[Path]:
    """Write `to/results/MODEL/…` and, of answers made here, `to/src/alpaca_eval/models_configs/MODEL/…`; the paths.

    A model's name there is that of its folder, so it is made fit for one, in every file alike. A judge other than the
    version's own makes a folder of its name, a second endpoint of a judge `JUDGE-2`, and a reference other than the
    version's own `JUDGE_vs_REFERENCE`. Of answers made elsewhere nobody knows how they were asked for: they have no
    configuration.

    Raises:
        UsageError: an evaluation is of another benchmark, two are of one model, or a file is there already.
        DataError: an instruction, or an answer that was judged, is no longer there.
    """
    if others := [str(one.path) for one in evaluations if one.benchmark != version.benchmark]:
        raise UsageError(f"{', '.join(others)}: not an evaluation with {version.benchmark}")
    _see_that_names_differ(evaluations)
    texts: dict[Path, str] = {}
    for evaluation in evaluations:
        for place, text in _texts(version, evaluation):
            if to / place in texts:
                raise UsageError(f"{evaluation.path}: two of its judges would share {place}", hint="rename one")
            texts[to / place] = text
    if there := [str(path) for path in texts if path.exists()]:
        raise UsageError(f"{', '.join(there)}: already there", hint="name another folder: nothing is written over")
    for path in texts:
        if reason := files.obstacle(path):
            raise UsageError(f"{path}: cannot be written: {reason}")
    for path, text in texts.items():
        files.write_text(path, text)
    return list(texts)


def _see_that_names_differ(evaluations: Sequence[Evaluation]) -> None:
    owners = Counter(evaluation.model for evaluation in evaluations)
    if twice := [model for model, number in owners.items() if number > 1]:
        raise UsageError(f"several evaluations are of {', '.join(twice)}", hint="export one of them")
    shared = {name for name, number in Counter(map(slug, owners)).items() if number > 1}
    if shared:
        models = ", ".join(model for model in owners if slug(model) in shared)
        raise UsageError(f"the models {models} would share a folder", hint="export one of them")


def _texts(version: Version, evaluation: Evaluation) -> Iterator[tuple[Path, str]]:
    """Places below the folder that is written into, and what stands there."""
    name = slug(evaluation.model)
    asked = evaluation.questions()
    questions = list(own_questions(Assets())) if asked is None else asked
    answers = {str(question): turns[0].text for question, turns in evaluation.answers().items() if turns[0].is_one}
    _see_that_all_are_known(evaluation, answers, questions)
    results = Path(RESULTS) / name
    yield (
        results / OUTPUTS,
        rows.text_of(
            [
                {
                    "dataset": question.category,
                    "instruction": question.turns[0],
                    "output": answers[str(question.id)],
                    "generator": name,
                }
                for question in questions
                if str(question.id) in answers
            ]
        ),
    )
    for group in _groups(version, evaluation):
        place = results / group.folder
        yield place / ANNOTATIONS, rows.text_of(_annotations(version, evaluation, group, questions, answers))
        yield place / LEADERBOARD, _leaderboard(version, evaluation, group, questions)
    if config := model_config(evaluation, questions, name):
        yield Path(CONFIGS) / name / CONFIGS_FILE, config.configs
        yield Path(CONFIGS) / name / PROMPT, config.prompt


class _Group(NamedTuple):
    """What goes into one folder: one judge's verdicts, with one prompt, beside one reference."""

    reference: str
    annotator: str
    """The judge's name in the files."""
    folder: str
    judgments: Sequence[Judgment]


@dataclass(frozen=True)
class _Part(Evaluation):
    """An evaluation of which only some judgments count."""

    kept: Sequence[Judgment] = field(default=(), compare=False)

    def judgments(self) -> list[dict[str, Any]]:
        return [record_of(one) for one in self.kept]


def _groups(version: Version, evaluation: Evaluation) -> list[_Group]:
    by_judge: dict[tuple[str, str, str, str], list[Judgment]] = {}
    for one in judgments_of(evaluation.judgments()):
        if one.models == (evaluation.model,):
            key = (one.judge["model"], one.judge.get("endpoint", ""), one.prompt, one.reference)
            by_judge.setdefault(key, []).append(one)
    places = list(dict.fromkeys((judge, endpoint) for judge, endpoint, _, _ in by_judge))
    found = []
    for (judge, endpoint, prompt, reference), its in by_judge.items():
        is_own = (judge, prompt) == (version.judge, version.prompt_name)
        number = [other for name, other in places if name == judge].index(endpoint) + 1
        annotator = (version.annotator if is_own else slug(judge)) + (f"-{number}" if number > 1 else "")
        folder = annotator if reference == version.reference else f"{annotator}_vs_{slug(reference)}"
        found.append(_Group(reference, annotator, folder, its))
    return found


def _annotations(
    version: Version,
    evaluation: Evaluation,
    group: _Group,
    questions: Sequence[Question],
    answers: Mapping[str, str],
) -> list[Row]:
    """In the questions' order. As in reports, a request without a verdict counts only where there is no other."""
    theirs = evaluation.reference(group.reference)
    if theirs is None and group.reference == version.reference:
        theirs = own_reference(Assets(), version.reference_file)
    outputs = {str(question): turns[0] for question, turns in theirs.answers.items() if turns} if theirs else {}
    by_question: dict[str, list[Judgment]] = {}
    for one in group.judgments:
        by_question.setdefault(str(one.question_id), []).append(one)
    _see_that_all_are_known(evaluation, by_question, questions)
    for what, texts in ((f"answers of {evaluation.model}", answers), (f"answers of {group.reference}", outputs)):
        if gone := [question for question in by_question if question not in texts]:
            raise DataError(f"{evaluation.path}: {what} were judged and are not there: {len(gone)}")
    found = []
    for question in questions:
        its = by_question.get(str(question.id), [])
        for one in [one for one in its if one.state == "ok"] or its[-1:]:
            found.append(
                row_of(
                    replace(one, models=(slug(evaluation.model),)),
                    instruction=question.turns[0],
                    dataset=question.category,
                    outputs=(outputs[str(question.id)], answers[str(question.id)]),
                    annotator=group.annotator,
                )
            )
    return found


def _see_that_all_are_known(evaluation: Evaluation, found: Mapping[str, object], questions: Sequence[Question]) -> None:
    known = {str(question.id) for question in questions}
    if strange := [question for question in found if question not in known]:
        raise DataError(
            f"{evaluation.path}: {len(strange)} answers are to instructions that are not known, the first {strange[0]}",
            hint="restore questions.jsonl from a copy",
        )


def _leaderboard(version: Version, evaluation: Evaluation, group: _Group, questions: Sequence[Question]) -> str:
    """One row, of the report on these verdicts; a cell is empty where nothing is known.

    Beside a reference of the user's own, the length-controlled win rate is that of `length_controlled_minimal`.
    """
    from align_cli.evals import registered
    from align_cli.evals.report import report

    made = report.make(
        [_Part(evaluation.path, kept=group.judgments)],
        benchmark=registered.named(version.benchmark),
        questions=questions,
    )
    metrics = {**made.models[0].metrics, "mode": _MODE}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["", *_COLUMNS])
    writer.writerow([slug(evaluation.model), *(metrics.get(column) for column in _COLUMNS)])
    return text.getvalue()
