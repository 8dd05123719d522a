"""`align` and its sub-commands: a table of names; only the command that is named gets imported."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from align_cli.cli import errors
from align_cli.errors import AlignError, UsageError

#: Sub-command -> (module with a typer `app`, one line of help). The order is that of `align --help`.
COMMANDS: dict[str, tuple[str, str]] = {
    "train": ("align_cli.cli.training.train", "Train a model from a recipe, or plan it with --dry-run."),
    "mix": ("align_cli.cli.mixing.mix", "Build and show a recipe's mixture; export, lock, compare it."),
    "recipe": ("align_cli.cli.recipes.recipe", "List, show, copy, check and migrate recipes."),
    "task": ("align_cli.cli.recipes.task", "List the tasks, and the keys a recipe may set for each."),
    "model": ("align_cli.cli.models.model", "Look at models and adapters; merge, export and push them."),
    "chat": ("align_cli.cli.models.chat", "Talk to a model as it was trained, or to two side by side."),
    "launch": ("align_cli.cli.launch", "List launch presets, look at this machine, write jobs for clusters."),
    "eval": ("align_cli.cli.evals.eval", "Answer a benchmark's questions, have them judged, report."),
    "runs": ("align_cli.cli.runs", "List runs, show one with its curves, compare two."),
    "cache": ("align_cli.cli.cache", "List and remove what is kept: mixtures, tokens, models."),
    "doctor": ("align_cli.cli.doctor", "What this machine has, and what is missing for which feature."),
    "quickstart": ("align_cli.cli.training.quickstart", "Train the smallest shipped recipe and see the difference."),
}

_EPILOG = "Start here: align quickstart. Then: align recipe ls, align recipe cp, align train sft RECIPE --dry-run."


#: A command is being run: `align`'s own options are not asked for. Typer checks every option's value through pydantic,
#: even those of `--help`, and importing that would take a third of a short command's time.
_ONLY_DISPATCH = sys.argv[1:2] != [] and sys.argv[1] in COMMANDS and "_ALIGN_COMPLETE" not in os.environ


class _Lazy(TyperGroup):
    """Lists commands from the table and imports one when it is run or completed."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return list(COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name][1], rich_markup_mode=None)

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]
        name = args[0]
        if name not in COMMANDS:
            if ctx.resilient_parsing:
                return None, None, args[1:]
            raise _unknown(name)
        command = typer.main.get_command(import_module(COMMANDS[name][0]).app)
        command.name = name
        return name, command, args[1:]


app = typer.Typer(
    name="align",
    cls=_Lazy,
    no_args_is_help=True,
    add_completion=not _ONLY_DISPATCH,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": [] if _ONLY_DISPATCH else ["-h", "--help"],
        "max_content_width": 100,
    },
    epilog=_EPILOG,
)


@app.callback()
def _align(
    version: Annotated[bool, typer.Option("--version", "-V", help="Print the version.")] = False,
) -> None:
    """From a base model to a chat model that can be trusted, in one command."""
    if version:
        from align_cli import __version__

        typer.echo(f"align {__version__}")
        raise typer.Exit


def run(words: list[str]) -> int:
    """Run one command line; every way out is an exit code of `errors.EXIT_CODES`."""
    as_json = "--json" in words
    try:
        outcome = typer.main.get_command(app)(words, prog_name="align", standalone_mode=False)
        sys.stdout.flush()
    except AlignError as error:
        return errors.report(error, as_json=as_json)
    except BrokenPipeError:  # `align recipe ls | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001  the last net: whatever it is, it ends in one line and a code
        return _other(error, as_json=as_json)
    code = outcome if isinstance(outcome, int) else 0
    if code == 130:
        sys.stderr.write("\ninterrupted\n")
    return code


def _other(error: Exception, *, as_json: bool) -> int:
    """Typer's own usage errors in our words; `align` alone prints its help; everything else is a crash."""
    if isinstance(error, OSError) and error.errno == 28:
        full = AlignError(f"the disk is full: {error.filename or error}", hint="free some space and run it again")
        return errors.report(full, as_json=as_json)
    context = getattr(error, "ctx", None)
    if isinstance(error, typer.Abort):
        return 130
    if not hasattr(error, "format_message"):
        return errors.crash(error, as_json=as_json)
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.format_message())
        return 2
    path = context.command_path.strip() if context else "align"
    message = error.format_message().strip().rstrip(".")
    usage = UsageError(message[:1].lower() + message[1:], hint=f"{path} --help shows what it takes")
    return errors.report(usage, as_json=as_json)


def _unknown(name: str) -> UsageError:
    from align_cli.registry import suggest

    if name.startswith("-"):
        return UsageError(f"there is no option {name}", hint="align --help lists the commands")
    return UsageError(f'there is no command "{name}"', hint=suggest(name, COMMANDS))
