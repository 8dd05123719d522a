"""`align runs`: what was trained, how it went, and what differs between two runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from align_cli.cli import documents
from align_cli.errors import DataError, UsageError

app = typer.Typer(
    help="List runs, show one with its curves, compare two.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

_Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
_RUN = "A run's folder, or the last part of the name of one that `align runs ls` lists."


def _names(incomplete: str) -> list[str]:
    try:
        from align_cli.runs.reading import find, summary

        return [name for run in find.below().runs if (name := summary.shown(run)).startswith(incomplete)]
    except Exception:  # noqa: BLE001  a traceback in the middle of a command line helps nobody
        return []


@app.command("ls")
def list_runs(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FOLDER", help="Where to look; without one, runs/ and the working directory."),
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option("--task", metavar="TASK", help="Only runs of this task; may be repeated.")
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="Only running, finished, failed, interrupted, prepared or damaged ones; may be repeated.",
        ),
    ] = None,
    sort: Annotated[
        str,
        typer.Option("--sort", metavar="WHAT", help="when, name, task, status, model, loss, eval, steps or size."),
    ] = "when",
    is_reversed: Annotated[bool, typer.Option("--reverse", help="The other way round.")] = False,
    as_json: _Json = False,
) -> None:
    """List runs: status, data, steps, losses, size.

    The newest comes first.
    """
    from align_cli.runs.reading import find, summary

    _demand_folders(folders or [])
    summary.demand_known(states=status or [], order=sort)
    found = find.below(folders or find.PLACES)
    known = [summary.of(path) for path in found.runs]
    runs = summary.chosen(known, tasks=task or [], states=status or [], order=sort, is_reversed=is_reversed)
    if task and not runs:
        _demand_tasks(task, {run.task for run in known})
    view = {
        "places": [str(place) for place in folders or find.PLACES],
        "runs": [run.as_dict() for run in runs],
        "left_out": len(known) - len(runs),
        "unreadable": [str(folder) for folder in found.unreadable],
        "cut_short": found.is_cut_short,
    }
    if as_json:
        documents.write(view, sys.stdout)
        return
    from align_cli.cli import render

    render.runs(view, sys.stdout, now=time.time())


@app.command("show")
def show(
    names: Annotated[list[str], typer.Argument(metavar="RUN", help=_RUN, autocompletion=_names)],
    with_curves: Annotated[bool, typer.Option("--curves", help="Draw its metrics instead, here.")] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw them into a .png or .svg file.")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="NAME", help="Draw this metric (and its evaluation); may be repeated."),
    ] = None,
    smooth: Annotated[
        float, typer.Option("--smooth", metavar="A", help="Moving average, from 0 (none) to below 1.")
    ] = 0.0,
    logarithmic: Annotated[bool, typer.Option("--log", help="A logarithmic scale.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Compare every file with its digest.")] = False,
    as_json: _Json = False,
) -> None:
    """Print all about a run, or draw its curves.

    The page has recipe, model, data, checks, metrics, files and failures. Several runs are drawn into one picture.
    """
    from align_cli.runs.reading import find
    from align_cli.runs.reading.record import Record

    draws = with_curves or plot is not None
    _demand_sensible(draws=draws, metric=metric, smooth=smooth, logarithmic=logarithmic, plot=plot, verify=verify)
    records = [Record(find.named(name)) for name in dict.fromkeys(names)]
    if draws:
        _draw(
            records, with_curves, plot, metrics=metric or [], smoothing=smooth, logarithmic=logarithmic, as_json=as_json
        )
        return
    views = [_told(record, verify=verify) for record in records]
    if as_json:
        documents.write(views[0] if len(views) == 1 else {"runs": views}, sys.stdout)
    else:
        from align_cli.cli import render

        for view in views:
            render.run(view, sys.stdout)
    if verify:
        _demand_right(views)


@app.command("diff")
def difference(
    a: Annotated[str, typer.Argument(metavar="A", help=_RUN, autocompletion=_names)],
    b: Annotated[str, typer.Argument(metavar="B", help="Another run.", autocompletion=_names)],
    as_json: _Json = False,
) -> None:
    """Print what differs between two runs.

    Their results stand side by side.
    """
    from align_cli.runs.reading import compare, find
    from align_cli.runs.reading.record import Record

    view = compare.compare(Record(find.named(a)), Record(find.named(b)))
    if as_json:
        documents.write(view, sys.stdout)
        return
    from align_cli.cli import render

    render.runs_difference(view, sys.stdout)


def _told(record: Any, *, verify: bool) -> dict[str, Any]:
    from align_cli.cli.evals import places
    from align_cli.runs.reading import story
    from align_cli.runs.reading import verify as verifying

    view = story.tell(record)
    view["evaluations"] = places.reported(record.path)
    view["verified"] = None
    if verify and record.manifest is not None:
        checked = verifying.check(record)
        view["verified"] = [{"name": one.name, "verdict": one.verdict, "detail": one.detail} for one in checked]
    return view


def _draw(
    records: Sequence[Any],
    with_curves: bool,
    plot: Path | None,
    *,
    metrics: Sequence[str],
    smoothing: float,
    logarithmic: bool,
    as_json: bool,
) -> None:
    """Curves on the terminal, in a file, or both; with `as_json` their points."""
    from align_cli.runs.reading import curves, summary

    named = [(summary.shown(record.path), record.log) for record in records]
    pictures = curves.pictures(named, metrics=metrics, smoothing=smoothing, is_logarithmic=logarithmic)
    view = {
        "runs": [name for name, _ in named],
        "smoothing": smoothing,
        "logarithmic": logarithmic,
        "pictures": curves.as_document(pictures),
        "file": str(plot) if plot else None,
        "replaced": False,
        "problems": [str(problem) for record in records for problem in record.problems],
    }
    from align_cli.cli import render

    if plot is not None:
        view["replaced"] = plot.exists()
        render.picture(pictures, plot, is_logarithmic=logarithmic, smoothing=smoothing)
    if as_json:
        documents.write(view, sys.stdout)
        return
    if with_curves:
        render.curves(pictures, sys.stdout, is_logarithmic=logarithmic, smoothing=smoothing)
    render.drawn(view, sys.stdout)


def _demand_folders(folders: Sequence[Path]) -> None:
    for folder in folders:
        if not folder.exists():
            raise UsageError(f"{folder}: there is no such folder")
        if not folder.is_dir():
            raise UsageError(f"{folder} is a file", hint="name a folder to look in")


def _demand_tasks(asked: Sequence[str], known: set[str]) -> None:
    """A task that neither these runs nor the registry know is misspelt."""
    from align_cli import registry

    names = sorted({*known, *(entry.name for entry in registry.entries(registry.TASKS))} - {""})
    for name in asked:
        if name not in names:
            raise UsageError(f'there is no task "{name}"', hint=registry.suggest(name, names))


def _demand_sensible(
    *, draws: bool, metric: Sequence[str] | None, smooth: float, logarithmic: bool, plot: Path | None, verify: bool
) -> None:
    if not draws and (metric or smooth or logarithmic):
        raise UsageError("--metric, --smooth and --log go with --curves or --plot", hint="add --curves to draw here")
    if draws and verify:
        raise UsageError("--verify checks files: it does not go with --curves and --plot")
    if not 0 <= smooth < 1:
        raise UsageError(f"--smooth {smooth:g} is not from 0 to below 1", hint="0.6 smooths a little, 0.95 a lot")
    if plot is not None and plot.suffix.lower() not in (".png", ".svg"):
        raise UsageError(f"--plot {plot}: its name ends neither in .png nor in .svg", hint=f"--plot {plot.stem}.png")


def _demand_right(views: Sequence[dict[str, Any]]) -> None:
    from align_cli.errors import Problem

    open_ones = [Problem("not finished: there is nothing to verify against", view["name"]) for view in views
                 if view["verified"] is None]  # fmt: skip
    wrong = [
        Problem(": ".join(filter(None, (one["verdict"], one["detail"]))), f"{view['name']}/{one['name']}")
        for view in views
        for one in view["verified"] or ()
        if one["verdict"] not in ("as it was", "new")
    ]
    if wrong:
        count = f"{len(wrong)} file" + ("" if len(wrong) == 1 else "s")
        raise DataError(
            f"{count} of the run {'is' if len(wrong) == 1 else 'are'} not as training left it",
            problems=[*wrong, *open_ones],
        )
    if open_ones:
        raise DataError("not every run could be verified", problems=open_ones)
