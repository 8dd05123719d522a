"""`align eval arena COMMAND`: votes of people on the answers of models."""

from __future__ import annotations

import typer

from align_cli.cli.evals import arena_report, arena_serve

app = typer.Typer(
    name="arena",
    help="Let people vote on answers blindly, and rate the models.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
arena_serve.register(app)
arena_report.register(app)
