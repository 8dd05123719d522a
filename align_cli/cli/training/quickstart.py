"""`align quickstart`: train the smallest shipped recipe and see the difference with your own eyes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from align_cli import stdout
from align_cli.cli import complete
from align_cli.cli.recipes import task as task_command
from align_cli.cli.training.running import execute, finish, plan_only
from align_cli.cli.words import WordsCommand
from align_cli.errors import UsageError
from align_cli.recipe.schema import Recipe

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
)

RECIPE = "smollm2-135m/sft/quickstart"
_TASK = "sft"
_QUESTIONS = "shipped://data/ask-align-questions.json"


@app.command(cls=WordsCommand)
def quickstart(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Overrides, as for align train.", autocompletion=complete.words),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what it would do.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Train again; the old run folder is moved aside.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Train a small model on questions about align, and print its answers before and after."""
    from align_cli.recipe import load

    task = task_command.get(_TASK)
    recipe = load.load([RECIPE, *ctx.args], task)
    if dry_run:
        plan_only(recipe, task, as_json=as_json, adapt=False)
        return
    questions = _questions()
    with stdout.reserved() as result:
        summary = execute(recipe, task, restart=restart)
        run = Path(summary["run"])
        sys.stderr.write("asking the same questions before and after …\n")
        sys.stderr.flush()
        rows = _answers(recipe, run, questions)
        if as_json:
            finish(summary | {"answers": rows}, result, as_json=True)
            return
        from align_cli.cli import render

        render.answers(rows, result)
        summary["next"] = [
            f"align recipe cp {RECIPE} my.yaml, then put your own data into it",
            "align train sft my.yaml --dry-run",
        ]
        finish(summary, result, as_json=False)


def _answers(recipe: Recipe, run: Path, questions: list[str]) -> list[dict[str, Any]]:
    """Both models' answers; kept in the run folder, because a finished run's answers do not change."""
    from align_cli.files import read_json, write_json
    from align_cli.models.speaking.answer import answer

    kept = run / "align" / "answers.json"
    if kept.is_file():
        rows: list[dict[str, Any]] = read_json(kept)
        if [row["question"] for row in rows] == questions:
            return rows
    before = answer(recipe.get("model_name_or_path"), questions, revision=recipe.values.get("model_revision"))
    after = answer(str(run), questions)
    rows = [
        {"question": question, "before": first, "after": second}
        for question, first, second in zip(questions, before, after, strict=True)
    ]
    write_json(kept, rows)
    return rows


def _questions() -> list[str]:
    from align_cli.recipe import shipped

    path = Path(shipped.resolve(_QUESTIONS))
    try:
        questions = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint="reinstall align: a file it ships is missing") from None
    return [str(question) for question in questions]
