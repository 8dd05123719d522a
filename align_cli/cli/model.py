"""`align model`: what to do with a model once it is trained."""

from __future__ import annotations

import typer

from align_cli.cli import model_push

app = typer.Typer(
    help="Push a trained model to the Hub.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def _model() -> None:
    """Push a trained model to the Hub."""


model_push.register(app)
