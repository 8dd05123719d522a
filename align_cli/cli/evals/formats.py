"""`align eval BENCHMARK import` and `export`: evaluations in the files of other programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from align_cli import registry
from align_cli.cli import documents
from align_cli.cli.evals import places, words
from align_cli.errors import UsageError
from align_cli.evals.benchmark import Benchmark, Format

_Format = Annotated[
    str | None, typer.Option("--format", metavar="FORMAT", help="Whose files; without it, the original program's.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to `align eval`; they are reached through a benchmark's name."""

    @app.command("import", hidden=True)
    def import_files(
        ctx: typer.Context,
        where: Annotated[list[Path], typer.Argument(metavar="PLACE...", help="Folders of such files, or the files.")],
        format: _Format = None,
        model: Annotated[
            str | None, typer.Option("--model", metavar="NAME", help="Only this model of those in the files.")
        ] = None,
        output_dir: Annotated[
            Path, typer.Option("--output-dir", metavar="DIR", help="Where the evaluations' folders go.")
        ] = Path("evals/imported"),
        as_json: words.Json = False,
    ) -> None:
        """Take over answers and judgments of another program: report then gives its scores."""
        chosen = _chosen(ctx.obj, format)
        paths = [str(path) for path in chosen.read(where, output_dir, model)]
        if as_json:
            documents.write({"evaluations": paths}, sys.stdout)
            return
        sys.stdout.write("".join(f"{path}\n" for path in paths))
        sys.stderr.write(f"next: align eval {ctx.obj.name} report {' '.join(paths)}\n")

    @app.command("export", hidden=True)
    def export_files(
        ctx: typer.Context,
        runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Evaluations, or the runs they are of.")],
        to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The folder to write into.")],
        format: _Format = None,
        as_json: words.Json = False,
    ) -> None:
        """Write answers and judgments as another program keeps them, for its scripts."""
        chosen = _chosen(ctx.obj, format)
        written = chosen.write([places.existing(word, ctx.obj.name).path for word in runs], to)
        if as_json:
            documents.write({"files": [str(path) for path in written]}, sys.stdout)
        else:
            sys.stdout.write("".join(f"{path}\n" for path in written))


def _chosen(benchmark: Benchmark, name: str | None) -> Format:
    known = {format.name: format for format in benchmark.formats}
    if not known:
        raise UsageError(f"{benchmark.name}: it has no files of another program")
    if name is None:
        return benchmark.formats[0]
    if name not in known:
        raise UsageError(f'{benchmark.name} has no format "{name}"', hint=registry.suggest(name, known))
    return known[name]
