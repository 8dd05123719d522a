"""`align eval BENCHMARK import` and `export`: evaluations in the files of other programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from align_cli.cli import documents
from align_cli.cli.evals import places, words
from align_cli.errors import UsageError
from align_cli.evals.benchmark import Benchmark

_FORMAT = "fastchat"
_Format = Annotated[str, typer.Option("--format", metavar="FORMAT", help="Whose files: fastchat.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `align eval`."""

    @app.command("import", hidden=True)
    def import_files(
        ctx: typer.Context,
        place: Annotated[
            Path, typer.Argument(metavar="PLACE", help="A folder with model_answer/ and model_judgment/, or one file.")
        ],
        format: _Format = _FORMAT,
        model: Annotated[
            str | None, typer.Option("--model", metavar="NAME", help="Only this model of those in the files.")
        ] = None,
        output_dir: Annotated[
            Path, typer.Option("--output-dir", metavar="DIR", help="Where the evaluations' folders go.")
        ] = Path(places.EVALS),
        as_json: words.Json = False,
    ) -> None:
        """Take over answers and judgments that FastChat made; report then gives the published scores."""
        from align_cli.evals.mtbench import fastchat

        _demand(ctx.obj, format)
        made = fastchat.import_fastchat(place, output_dir, model)
        paths = [str(one.path) for one in made]
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
        format: _Format = _FORMAT,
        as_json: words.Json = False,
    ) -> None:
        """Write answers and judgments as FastChat's own files, for its scripts."""
        from align_cli.evals.mtbench import fastchat

        _demand(ctx.obj, format)
        written = fastchat.export_fastchat([places.existing(word, ctx.obj.name) for word in runs], to)
        if as_json:
            documents.write({"files": [str(path) for path in written]}, sys.stdout)
        else:
            sys.stdout.write("".join(f"{path}\n" for path in written))


def _demand(benchmark: Benchmark, format: str) -> None:
    if format != _FORMAT:
        raise UsageError(f'there is no format "{format}"', hint=f"--format {_FORMAT}")
    if benchmark.name != "mtbench":
        raise UsageError(f"{benchmark.name}: FastChat's files hold MT-Bench", hint="align eval mtbench …")
