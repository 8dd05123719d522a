"""`align mix RECIPE`: what a run would train on, built as the run would build it; with `show`, `diff` and `explain`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from align_cli import stdout
from align_cli.cli import complete, documents
from align_cli.cli.mixing import mix_compare, mix_rows, mixed
from align_cli.cli.words import OptionsCommand
from align_cli.errors import UsageError

_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_WORDS = {**_SETTINGS, "allow_extra_args": True, "ignore_unknown_options": True}

_Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RECIPE [KEY=VALUE]",
        help="A recipe (file or shipped name), then overrides, as for align train.",
        autocompletion=complete.words,
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
_Task = Annotated[
    str | None,
    typer.Option(
        "--task", help="The task; without it what path and keys tell, else sft.", autocompletion=complete.tasks
    ),
]
_NoTokens = Annotated[bool, typer.Option("--no-tokens", help="Rows only: no tokenizer, template or lengths.")]

building = typer.Typer(rich_markup_mode=None, add_completion=False)


class _Mix(TyperGroup):
    """A group whose command without a name builds a mixture: what is no sub-command is its recipe."""

    @property
    def unnamed(self) -> Any:
        """The command without a name."""
        return typer.main.get_command(building)

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """What follows is for a sub-command, or all of it for the command without a name."""
        if not args or args[0] in self.commands or args[0] in _SETTINGS["help_option_names"]:
            return super().parse_args(ctx, args)
        ctx._protected_args, ctx.args = [""], args
        return args

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]
        """The command that is meant, and its words."""
        return ("", self.unnamed, args[1:]) if args[0] == "" else super().resolve_command(ctx, args)

    def shell_complete(self, ctx: typer.Context, incomplete: str) -> list[Any]:  # type: ignore[override]
        """Sub-commands and recipes."""
        command = self.unnamed
        inner = command.make_context("", [], parent=ctx, resilient_parsing=True)
        found = super().shell_complete(ctx, incomplete)
        for param in command.get_params(inner):
            if param.param_type_name == "argument":
                found += param.shell_complete(inner, incomplete)
        return found

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """The help of the command without a name, then the sub-commands."""
        command = self.unnamed
        command._whole = True
        command.format_usage(ctx, formatter)
        command.format_help_text(ctx, formatter)
        command.format_options(ctx, formatter)
        self.format_commands(ctx, formatter)
        command.format_epilog(ctx, formatter)


app = typer.Typer(
    cls=_Mix,
    help="Build a recipe's mixture as training would, and show it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    context_settings=_SETTINGS,
)


@building.command(
    cls=OptionsCommand,
    context_settings=_WORDS,
    epilog="align mix RECIPE --lock writes the lock, align mix RECIPE --locked checks it: exit code 3 says that data, "
    "parameters or rows are no longer the locked ones.",
)
def build(
    ctx: typer.Context,
    words: _Words = None,
    task: _Task = None,
    head: Annotated[
        int, typer.Option("--head", metavar="N", help="Also print the first N training rows with their loss mask.")
    ] = 0,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="TARGET",
            help="Export: a folder, FILE.parquet, FILE.jsonl, FILE.jsonl.gz, or hub:OWNER/NAME (private).",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export.")] = False,
    lock: Annotated[bool, typer.Option("--lock", help="Write RECIPE.mixture.json beside the recipe.")] = False,
    locked: Annotated[bool, typer.Option("--locked", help="Fail if anything is not as that file says.")] = False,
    no_tokens: _NoTokens = False,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", help="Processes that read; the rows are the same.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", metavar="NAME", help="local, or ray (needs the extra ray).")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Build a recipe's mixture as training would, and show it."""
    from align_cli.mix.exports import export

    if lock and locked:
        raise UsageError("--lock writes the lock and --locked checks it: give one of them")
    if head < 0:
        raise UsageError("--head takes a number of rows, from 0 on")
    recipe, chosen = mixed.load(ctx.args, task)
    target = export.target_of(to, force=force) if to is not None else None
    wanted = mixed.engine(engine, workers)
    mixed.demand_data(recipe, chosen)
    with stdout.reserved() as result:
        with _talking() as say:
            if locked:
                mix_compare.demand_inputs(recipe, chosen, say)
            made = mixed.make(recipe, chosen, tokens=not no_tokens, engine=wanted, say=say)
            view = mixed.document(made)
            if locked:
                view["lock"] = mix_compare.demand_rows(recipe, made.build)
            if lock:
                view["lock"] = mix_compare.write_lock(recipe, made.build)
            view["rows"] = mix_rows.head(made, head)
            if target:
                view["export"] = export.export(made.build, target, force=force, say=say)
        _deliver(view, result, "mixture", as_json=as_json)


@app.command("show", cls=OptionsCommand, context_settings=_WORDS)
def show(
    ctx: typer.Context,
    words: _Words = None,
    row: Annotated[
        int | None, typer.Option("--row", metavar="I", help="The row, from 1 on, in the order of training.")
    ] = None,
    split: Annotated[str, typer.Option("--split", metavar="train|eval", help="Which rows.")] = "train",
    dropped: Annotated[
        bool,
        typer.Option(
            "--dropped", help="List what cleaning left out; after the recipe may follow one step, e.g. near duplicate."
        ),
    ] = False,
    head: Annotated[int, typer.Option("--head", metavar="N", help="With --dropped: at most so many rows.")] = 20,
    task: _Task = None,
    no_tokens: _NoTokens = False,
    as_json: _Json = False,
) -> None:
    """Print one row with its loss mask, or what cleaning left out."""
    if split not in mix_rows.SPLITS:
        raise UsageError(f'there is no split "{split}"', hint="--split train or --split eval")
    if (row is None) is not dropped:
        raise UsageError("say which row" if row is None else "--row and --dropped exclude each other", hint="--row 1")
    given, step = _without_step(ctx.args) if dropped else (ctx.args, [])
    recipe, chosen = mixed.load(given, task)
    mixed.demand_data(recipe, chosen)
    with stdout.reserved() as result:
        with _talking() as say:
            made = mixed.make(recipe, chosen, tokens=False, engine=None, say=say)
            view: Any
            if dropped:
                view = mix_rows.left_out(made.build, step, head)
            else:
                made = made if no_tokens else mixed.with_tokenizer(made, say)
                view = mix_rows.rows(made, [row or 0], split)[0]
        _deliver(view, result, "left_out" if dropped else "row", as_json=as_json)


@app.command("diff")
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="Recipe, digest, exported folder or lock.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The same.")],
    task: _Task = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 if they differ.")] = False,
    as_json: _Json = False,
) -> None:
    """Say what differs between two mixtures: inputs and rows."""
    with stdout.reserved() as result:
        with _talking() as say:
            view = mix_compare.difference(a, b, task, say)
        _deliver(view, result, "difference", as_json=as_json)
    if exit_code and not view["same"]:
        raise typer.Exit(1)


@app.command("explain", cls=OptionsCommand, context_settings=_WORDS)
def explain(ctx: typer.Context, words: _Words = None, task: _Task = None, as_json: _Json = False) -> None:
    """Say whether the mixture is built already; if not, why.

    Builds nothing. The same for its tokens, where a tokenizer is at hand. What changed is said against the most
    similar thing in the store.
    """
    recipe, chosen = mixed.load(ctx.args, task)
    mixed.demand_data(recipe, chosen)
    with stdout.reserved() as result:
        with _talking() as say:
            view = mix_compare.explanation(recipe, chosen, say)
        _deliver(view, result, "explanation", as_json=as_json)


def _talking() -> AbstractContextManager[Callable[[str], None]]:
    """A way to say on stderr what is being done, once it takes a while; to be left before anything is printed."""
    from align_cli.cli.render.at_work import working

    return working(sys.stderr)


def _deliver(view: Any, result: TextIO, page: str, *, as_json: bool) -> None:
    """The result as one JSON document, or as the page of that name."""
    if as_json:
        documents.write(view, result)
        return
    from align_cli.cli import render

    getattr(render, page)(view, result)


def _without_step(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of the recipe, and those of the step: plain words after the first one."""
    given: list[str] = []
    step: list[str] = []
    for word in words:
        is_plain = "=" not in word and not word.startswith("-") and not Path(word).suffix
        (step if is_plain and any("=" not in other for other in given) else given).append(word)
    return given, step
