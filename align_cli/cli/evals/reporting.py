"""`align eval BENCHMARK report`: what the judgments come to, on the terminal, as JSON and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from align_cli import files
from align_cli.cli import documents
from align_cli.cli.evals import places
from align_cli.cli.evals.words import Reporting, demand_number
from align_cli.errors import GateError, UsageError
from align_cli.evals.asked import questions_of
from align_cli.evals.benchmark import Assets, Benchmark, Computing
from align_cli.evals.folder import PAGE, REPORT, Evaluation, slug


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the command line asks for."""

    evaluations: Sequence[Evaluation]
    files: Assets
    judge: str | None = None
    reference: str | None = None
    computing: Computing = field(default_factory=Computing)
    against: Evaluation | None = None
    output_dir: Path | None = None
    plots: Sequence[Path] = ()
    fail_below: float | None = None


def demand(words: Reporting) -> None:
    """Raise for pictures of a kind that cannot be drawn, and a gate that is no number.

    Raises:
        UsageError: naming the option.
    """
    demand_number("--fail-below", words.fail_below)
    demand_pictures(words.plot or [])


def demand_pictures(plots: Sequence[Path]) -> None:
    """Raise for pictures of a kind that cannot be drawn.

    Raises:
        UsageError: naming the file.
    """
    from align_cli.evals.report.pictures import SUFFIXES

    for plot in plots:
        if plot.suffix.lower() not in SUFFIXES:
            raise UsageError(f"--plot {plot}: the name must end in {' or '.join(SUFFIXES)}")


def computing(benchmark: Benchmark, words: Reporting, assets: Assets) -> Computing:
    """How the benchmark's own figures are computed.

    Raises:
        UsageError: it has none, or there is no such file.
    """
    given = [
        option
        for option, is_given in (("--as-original", words.as_original), ("--length-control", words.length_control))
        if is_given
    ]
    if given and benchmark.addition is None:
        raise UsageError(f"{benchmark.name} has no {given[0]}", hint="its figures are computed in one way only")
    if words.length_control is not None and not words.length_control.is_file():
        raise UsageError(f"--length-control {words.length_control}: there is no such file")
    return Computing(assets=assets, as_original=words.as_original, length_control=words.length_control)


def report(order: Order, benchmark: Benchmark, result: TextIO, *, as_json: bool, done: dict[str, Any]) -> None:
    """Compute, write the files, print. `done` is what earlier steps of the same command have to tell.

    Raises:
        GateError: a score is below `--fail-below`; the report is written all the same.
    """
    from align_cli.evals.report import page, pictures
    from align_cli.evals.report import report as reports

    every = [*order.evaluations, *([order.against] if order.against else [])]
    made = reports.make(
        order.evaluations,
        benchmark=benchmark,
        questions=questions_of(every, benchmark, order.files),
        judge=order.judge,
        reference=order.reference,
        against=order.against,
        computing=order.computing,
    )
    document = made.as_dict()
    place = order.output_dir or _place(order.evaluations, benchmark)
    try:
        files.write_json(place / REPORT, document)
        files.write_text(place / PAGE, page.page(made))
    except OSError as cause:
        where = "--output-dir gives the report another folder"
        raise UsageError(f"{place}: the report cannot be written: {cause.strerror or cause}", hint=where) from None
    for plot in order.plots:
        pictures.write(made, plot)
    if as_json:
        documents.write({**done, "report": document, "files": [str(place / REPORT), str(place / PAGE)]}, result)
    else:
        from align_cli.cli import render

        render.evaluation(document, result)
        result.write(f"\n{place / PAGE} shows every answer and judgment\n")
    if order.fail_below is not None:
        _gate(document, order.fail_below)


def _place(evaluations: Sequence[Evaluation], benchmark: Benchmark) -> Path:
    """One model's report lies with its answers; that of several beside them, under their names."""
    first, *others = evaluations
    if not others:
        return first.path
    names = f"{first.model}-and-{others[0].model}"
    if len(others) > 1:  # other models make another folder
        names = f"{first.model}-and-{len(others)}-more-{files.digest_of([one.model for one in others])[:6]}"
    return Path(places.EVALS) / slug(names) / benchmark.name


def _gate(document: dict[str, Any], lowest: float) -> None:
    """Raise for a model whose score is lower, or that has none."""
    below = []
    for model in document["models"]:
        if model["is_against"]:
            continue
        headline = model["headline"]
        if headline["value"] is None:
            below.append(f"{model['name']} has no {headline['name']}")
        elif headline["value"] < lowest:
            below.append(f"{model['name']}: {headline['name']} {headline['value']:.2f}")
    if below:
        is_missing = any(model["headline"]["value"] is None for model in document["models"])
        hint = "the report's notes say why there is none" if is_missing else ""
        raise GateError(f"below {lowest:g}: {', '.join(below)}", hint=hint)
