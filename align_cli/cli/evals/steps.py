"""`align eval BENCHMARK`, and its steps generate, judge and report."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from align_cli import stdout
from align_cli.cli import documents
from align_cli.cli.evals import agreeing, generating, judging, places, reporting
from align_cli.cli.evals.words import Answering, Files, Judging, Output, Pace, Questions, Reporting
from align_cli.cli.option_groups import takes
from align_cli.evals import answering
from align_cli.evals.benchmark import Benchmark
from align_cli.evals.folder import Evaluation

STEPS = ("generate", "judge", "report", "import", "export")
_EPILOG = (
    "Steps, each with a --help of its own: generate makes the answers, judge has them judged, report computes the "
    "scores; import and export read and write other programs' files. Without a step, the first three are done."
)
_Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="A run, a model or adapter folder, a Hub id; or a name at --endpoint.")
]
_Runs = Annotated[
    list[str], typer.Argument(metavar="RUN...", help="Evaluations, or the runs or models that they are of.")
]


@dataclass(frozen=True, kw_only=True)
class _Dry:
    """Whether the judge is asked at all."""

    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would cost; ask nothing.")] = False


@dataclass(frozen=True, kw_only=True)
class _Report:
    """Whose judgments are reported, and where the report goes."""

    judge: Annotated[str | None, typer.Option("--judge", metavar="MODEL", help="Only what this judge said.")] = None
    reference: Annotated[
        str | None,
        typer.Option("--reference", "--references", metavar="NAME", help="Only what was judged beside this reference."),
    ] = None
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", metavar="DIR", help="Where report.json and report.html go.")
    ] = None


def register(app: typer.Typer) -> None:
    """Add the commands to `align eval`; they are reached through a benchmark's name."""
    app.command("run", hidden=True, epilog=_EPILOG)(_run)
    app.command("generate", hidden=True)(_generate)
    app.command("judge", hidden=True)(_judge)
    app.command("report", hidden=True)(_report)


@takes(Questions, Answering, Judging, Reporting, Pace, Output, argument=_Model)
def _run(
    ctx: typer.Context,
    model: str,
    questions: Questions,
    answering: Answering,
    judge: Judging,
    report: Reporting,
    pace: Pace,
    output: Output,
) -> None:
    """Make a model's answers, have them judged, and report.

    What is there is not done again.
    """
    benchmark: Benchmark = ctx.obj
    reporting.demand(report)
    reporting.computing(benchmark, report, questions.files)
    generation = generating.order(benchmark, model, answering, questions, pace)
    held = _one(benchmark, report.against)
    court = judging.order(benchmark, judge, questions, pace, [model])
    if not _is_done(benchmark, generation, court):
        agreeing.demand_yes(court)
    judging.demand_files(court, benchmark, generation.own)
    with stdout.reserved() as result:
        generated = generating.generate(generation, benchmark, _say)
        judged = judging.judged(court, benchmark, [generated.evaluation], _say)
        told = {"generate": generated.as_dict(), "judge": judged.as_dict()}
        order = reporting.Order(
            evaluations=[generated.evaluation, *([court.baseline] if court.baseline else [])],
            files=questions.files,
            judge=_who_judged(court, generated.evaluation),
            reference=court.references or None,
            computing=reporting.computing(benchmark, report, questions.files),
            against=held,
            plots=report.plot or [],
            fail_below=report.fail_below,
        )
        reporting.report(order, benchmark, result, as_json=output.as_json, done=told)


@takes(Questions, Answering, Pace, Output, argument=_Model)
def _generate(
    ctx: typer.Context, model: str, questions: Questions, answering: Answering, pace: Pace, output: Output
) -> None:
    """Make a model's answers; those that are there are kept."""
    benchmark: Benchmark = ctx.obj
    order = generating.order(benchmark, model, answering, questions, pace)
    with stdout.reserved() as result:
        generated = generating.generate(order, benchmark, _say)
        following = [shlex.join(["align", "eval", benchmark.name, "judge", str(generated.evaluation.path)])]
        _finish(generated.as_dict(), following, result, as_json=output.as_json)


@takes(Questions, Judging, _Dry, Pace, Output, argument=_Runs)
def _judge(
    ctx: typer.Context,
    runs: list[str],
    questions: Questions,
    judge: Judging,
    dry: _Dry,
    pace: Pace,
    output: Output,
) -> None:
    """Have answers judged; what a judge has said is not asked again."""
    benchmark: Benchmark = ctx.obj
    order = judging.order(benchmark, judge, questions, pace, runs, dry_run=dry.dry_run)
    evaluations = _all(benchmark, runs)
    with stdout.reserved() as result:
        judged = judging.judged(order, benchmark, evaluations, _say)
        beside = ["--reference", order.references] if order.references else []
        report = ["align", "eval", benchmark.name, "report", *runs, "--judge", order.endpoint.model, *beside]
        following = [] if dry.dry_run else [shlex.join(report)]
        _finish(judged.as_dict(), following, result, as_json=output.as_json)


@takes(_Report, Reporting, Files, Output, argument=_Runs)
def _report(ctx: typer.Context, runs: list[str], of: _Report, report: Reporting, where: Files, output: Output) -> None:
    """Compute the scores, and write a page with every answer and judgment."""
    benchmark: Benchmark = ctx.obj
    reporting.demand(report)
    order = reporting.Order(
        evaluations=_all(benchmark, runs),
        files=where.files,
        judge=of.judge,
        reference=of.reference,
        computing=reporting.computing(benchmark, report, where.files),
        against=_one(benchmark, report.against),
        output_dir=of.output_dir,
        plots=report.plot or [],
        fail_below=report.fail_below,
    )
    reporting.report(order, benchmark, sys.stdout, as_json=output.as_json, done={})


def _is_done(benchmark: Benchmark, generation: generating.Order, court: judging.Order) -> bool:
    """Whether everything is answered and judged: then nobody need be asked whether money may be spent."""
    evaluation = places.of_model(generation.model, benchmark.name, generation.how.output_dir, generation.how.name)
    if generation.how.restart or not evaluation.facts:
        return False
    questions = generation.choice.of(generation.own or benchmark.questions(generation.files))
    if answering.unfinished(evaluation, questions).turns:
        return False
    return not judging.work_of(court, benchmark, [evaluation]).to_ask


def _who_judged(court: judging.Order, evaluation: Evaluation) -> str:
    """Who has just judged, as a report is told: with its place where the same name has judged at several."""
    model, place = court.endpoint.identity["model"], court.endpoint.identity["endpoint"]
    places_of_it = {
        one["judge"].get("endpoint", "") for one in evaluation.judgments() if one["judge"]["model"] == model
    }
    return model if places_of_it <= {place} else f"{model} at {place}"


def _all(benchmark: Benchmark, runs: Sequence[str]) -> list[Evaluation]:
    """What the words mean; an evaluation that several of them mean is there once."""
    found = [places.existing(word, benchmark.name) for word in runs]
    return list({one.path.resolve(): one for one in found}.values())


def _one(benchmark: Benchmark, word: str | None) -> Any:
    return places.existing(word, benchmark.name) if word else None


def _finish(document: dict[str, Any], following: Sequence[str], result: Any, *, as_json: bool) -> None:
    if as_json:
        documents.write(document, result)
        return
    from align_cli.cli import render

    show = render.answered if "answered" in document else render.judged
    show(document, following, result)


def _say(line: str) -> None:
    from align_cli.cli.errors import without_secrets

    sys.stderr.write(without_secrets(line) + "\n")
    sys.stderr.flush()
