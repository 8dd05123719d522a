"""`align eval arena report`, `import` and `export`: ratings of models by battles."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from align_cli import files, registry
from align_cli.cli import documents
from align_cli.cli.evals import reporting, words
from align_cli.errors import UsageError
from align_cli.evals.arena import battles, logs, reading
from align_cli.evals.arena.battles import Battle
from align_cli.evals.arena.logs import Log
from align_cli.evals.arena.ratings import INTERVALS, Anchor, Method
from align_cli.evals.folder import PAGE, REPORT

_Places = Annotated[
    list[Path],
    typer.Argument(metavar="BATTLES...", help="An arena's folder or .db, or logs: .jsonl, .json, .csv, .parquet."),
]
_FORMATS = ("chatbot-arena", "align")


def register(app: typer.Typer) -> None:
    """Add the commands to `align eval arena`."""
    _report(app)
    _import(app)
    _export(app)


def _report(app: typer.Typer) -> None:
    @app.command("report")
    def report(
        places: _Places,
        interval: Annotated[
            str, typer.Option("--interval", metavar="METHOD", help="sandwich (at once) or bootstrap.")
        ] = "sandwich",
        rounds: Annotated[int, typer.Option("--rounds", metavar="N", help="Of the bootstrap.")] = 1000,
        seed: Annotated[int, typer.Option("--seed", help="Of the bootstrap.")] = 0,
        anchor: Annotated[
            str | None,
            typer.Option("--anchor", metavar="MODEL=RATING", help="Where the scale is held; not its mean at 1000."),
        ] = None,
        cluster_by_rater: Annotated[
            bool, typer.Option("--cluster-by-rater", help="Intervals for other raters: one's votes are alike.")
        ] = False,
        without_leaks: Annotated[
            bool, typer.Option("--without-leaks", help="Leave out battles in which an answer names a model.")
        ] = False,
        model: Annotated[
            list[str] | None, typer.Option("--model", metavar="NAME", help="Only battles between these; repeat it.")
        ] = None,
        category: Annotated[
            list[str] | None, typer.Option("--category", metavar="NAME", help="Only this category; may be repeated.")
        ] = None,
        language: Annotated[
            list[str] | None, typer.Option("--language", metavar="NAME", help="Only this language; may be repeated.")
        ] = None,
        rater: Annotated[
            list[str] | None, typer.Option("--rater", metavar="NAME", help="Only this rater's; may be repeated.")
        ] = None,
        plot: Annotated[
            list[Path] | None,
            typer.Option("--plot", metavar="FILE", help="Draw the ratings into a .svg or .png; may be repeated."),
        ] = None,
        output_dir: Annotated[
            Path | None, typer.Option("--output-dir", metavar="DIR", help="Where report.json and report.html go.")
        ] = None,
        as_json: words.Json = False,
    ) -> None:
        """Rate the models by the votes.

        Bradley–Terry ratings, how sure they are, and how far raters agree.
        """
        method = replace(_method(interval, rounds, seed, anchor), cluster_by_rater=cluster_by_rater)
        if cluster_by_rater and method.interval != "sandwich":
            raise UsageError("--cluster-by-rater goes with --interval sandwich: the bootstrap draws single votes")
        reporting.demand_pictures(plot or ())
        log = reading.read(places)
        chosen = _only(log, {"model": model, "category": category, "language": language, "rater": rater})
        _write(
            chosen, log, method, plot or (), _folder(places, output_dir), with_leaks=not without_leaks, as_json=as_json
        )


def _import(app: typer.Typer) -> None:
    @app.command("import")
    def import_battles(
        places: _Places,
        to: Annotated[Path, typer.Option("--to", metavar="FILE", help="A .db of the arena, or a new .jsonl.")],
        as_json: words.Json = False,
    ) -> None:
        """Take over battle logs.

        Those of Chatbot Arena's formats, and others.
        """
        log = reading.read(places)
        if reading.is_database(to):
            new = reading.keep(to, log.battles)
        elif to.suffix.lower() == ".jsonl":
            new = len(log.battles)
            battles.write(to, log.battles)
        else:
            raise UsageError(f"--to {to}: the name ends in .db or .jsonl")
        if as_json:
            documents.write(
                {"file": str(to), "battles": len(log.battles), "new": new, "left_out": log.left_out}, sys.stdout
            )
            return
        _tell_left_out(log)
        sys.stdout.write(f"{to}: {len(log.battles):,} battles, {new:,} of them new\n")
        sys.stderr.write(f"next: align eval arena report {to}\n")


def _export(app: typer.Typer) -> None:
    @app.command("export")
    def export_battles(
        places: _Places,
        to: Annotated[
            Path, typer.Option("--to", metavar="FILE", help="The file to write: .jsonl, or .json for one list.")
        ],
        format: Annotated[
            str, typer.Option("--format", metavar="FORMAT", help="chatbot-arena, or align: everything that is known.")
        ] = "chatbot-arena",
        as_json: words.Json = False,
    ) -> None:
        """Write battles for other programs.

        Or as align's own JSON lines.
        """
        if format not in _FORMATS:
            raise UsageError(f'--format: there is no "{format}"', hint=registry.suggest(format, _FORMATS))
        if to.suffix.lower() not in ((".jsonl",) if format == "align" else (".jsonl", ".json")):
            raise UsageError(f"--to {to}: the name ends in .jsonl{' or .json' if format != 'align' else ''}")
        log = reading.read(places)
        (battles.write if format == "align" else logs.write)(to, log.battles)
        if as_json:
            documents.write({"file": str(to), "battles": len(log.battles), "left_out": log.left_out}, sys.stdout)
            return
        _tell_left_out(log)
        sys.stdout.write(f"{to}: {len(log.battles):,} battles\n")


def _method(interval: str, rounds: int, seed: int, anchor: str | None) -> Method:
    found = next((one for one in INTERVALS if one == interval), None)
    if found is None:
        raise UsageError(f'--interval: there is no "{interval}"', hint=registry.suggest(interval, INTERVALS))
    words.demand_positive("--rounds", rounds)
    if seed < 0:
        raise UsageError(f"--seed is {seed}: it must not be below 0")
    return Method(interval=found, rounds=rounds, seed=seed, anchor=None if anchor is None else _anchor(anchor))


def _anchor(word: str) -> Anchor:
    model, equals, number = word.rpartition("=")
    try:
        rating = float(number)
    except ValueError:
        rating = float("nan")
    if not (equals and model and abs(rating) < 1e9):
        raise UsageError(f"--anchor {word}: it is MODEL=RATING", hint="for instance --anchor my-model=1000")
    return Anchor(model, rating)


def _only(log: Log, wanted: dict[str, Sequence[str] | None]) -> list[Battle]:
    """The battles that the options ask for.

    Raises:
        UsageError: a word names nothing in them.
    """
    chosen = list(log.battles)
    for option, names in wanted.items():
        if not names:
            continue
        known = sorted({value for battle in log.battles for value in _values(battle, option)})
        for name in names:
            if name not in known:
                raise UsageError(f'--{option}: no battle has "{name}"', hint=registry.suggest(name, known))
        chosen = [battle for battle in chosen if all(value in names for value in _values(battle, option))]
    return chosen


def _values(battle: Battle, option: str) -> tuple[str, ...]:
    return (battle.model_a, battle.model_b) if option == "model" else (str(getattr(battle, option)),)


def _folder(places: Sequence[Path], output_dir: Path | None) -> Path:
    """The report lies with the arena it is of; that of logs from elsewhere in `evals/arena`."""
    if output_dir is not None:
        return output_dir
    first = places[0]
    if len(places) == 1 and (first.is_dir() or reading.is_database(first)):
        return first if first.is_dir() else first.parent
    return Path("evals") / "arena"


def _write(
    chosen: Sequence[Battle],
    log: Log,
    method: Method,
    plots: Sequence[Path],
    place: Path,
    *,
    with_leaks: bool,
    as_json: bool,
) -> None:
    """Compute, write the files, print."""
    from align_cli.evals.arena import chart, page
    from align_cli.evals.arena import report as reports
    from align_cli.evals.report import pictures

    made = reports.make(chosen, method, with_leaks=with_leaks, left_out=log.left_out)
    document: dict[str, Any] = made.as_dict()
    files.write_json(place / REPORT, document)
    files.write_text(place / PAGE, page.page(made))
    for plot in plots:
        pictures.write_drawing(chart.drawn(made.ratings.models), plot)
    if as_json:
        documents.write({"report": document, "files": [str(place / REPORT), str(place / PAGE)]}, sys.stdout)
        return
    from align_cli.cli import render

    render.arena(document, sys.stdout)
    sys.stdout.write(f"\n{place / PAGE} shows all of it\n")


def _tell_left_out(log: Log) -> None:
    for reason, number in log.left_out.items():
        sys.stderr.write(f"{number:,} left out: {reason}\n")
