"""`align eval BENCHMARK [STEP]`: the words of the command line, for every benchmark that is registered."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from align_cli import registry
from align_cli.cli.evals import formats, listed, steps
from align_cli.errors import UsageError
from align_cli.evals import registered
from align_cli.evals.benchmark import Benchmark

_WHOLE = "run"
_LIST = "ls"
#: No benchmark: a group of commands of its own, imported when it is used.
_ARENA = ("arena", "Let people vote on answers blindly, and rate the models.")


class _Benchmarks(TyperGroup):
    """The first word is a benchmark, the second one of its steps; without a step, all of them are done."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return [_LIST, _ARENA[0], *registry.names(registry.BENCHMARKS)]

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        """For help and completion: a benchmark is a command, and its steps are in that command's help."""
        if cmd_name == _ARENA[0]:
            return TyperCommand(cmd_name, help=_ARENA[1], rich_markup_mode=None)
        found = super().get_command(ctx, cmd_name)
        if found is not None or cmd_name not in registry.names(registry.BENCHMARKS):
            return found
        return TyperCommand(cmd_name, help=listed.summary(cmd_name), rich_markup_mode=None)

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]
        name, rest = args[0], args[1:]
        if name == _ARENA[0]:
            return name, _arena(), rest
        if name == _LIST or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        benchmark: Benchmark = registered.named(name)
        step, rest = (rest[0], rest[1:]) if rest and rest[0] in steps.STEPS else (_WHOLE, rest)
        if step == _WHOLE and len(rest) > 1 and not rest[1].startswith("-"):
            _demand_step(rest[0])
        command = super().get_command(ctx, step)
        assert command is not None
        ctx.obj = benchmark
        title = name if step == _WHOLE else f"{name} {step}"
        return title, command, rest


def _demand_step(word: str) -> None:
    """Raise where a word stands in a step's place and is not one: a model has no second word after it.

    Raises:
        UsageError: what may have been meant.
    """
    if near := get_close_matches(word, steps.STEPS, n=1):
        hint = f'did you mean "{near[0]}"? The steps are {", ".join(steps.STEPS)}'
        raise UsageError(f'there is no step "{word}"', hint=hint)


def _arena() -> Any:
    """`align eval arena`."""
    from align_cli.cli.evals import arena

    return typer.main.get_command(arena.app)


app = typer.Typer(
    cls=_Benchmarks,
    help="Ask a model a benchmark's questions, let a judge read the answers, report.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="align eval mtbench MODEL does all of it; align eval mtbench --help lists the steps and the options.",
)
listed.register(app)
steps.register(app)
formats.register(app)
