"""What a judge will cost, said before it is asked, and a person's yes to it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from align_cli.cli.text import is_terminal
from align_cli.errors import UsageError
from align_cli.evals import judge
from align_cli.evals.asking.prices import Estimate

if TYPE_CHECKING:
    from align_cli.cli.evals.judging import Order


def demand_yes(order: Order) -> None:
    """Raise where nobody could be asked whether money may be spent, before any work is done for it.

    Raises:
        UsageError: nobody is at a terminal, and `--yes` was not said.
    """
    if order.is_agreed or is_terminal(sys.stdin):
        return
    raise UsageError(
        f"the judge at {order.endpoint.identity['endpoint']} may cost money, and nobody is here to be asked",
        hint="--yes lets it; --max-cost USD limits it; the step judge with --dry-run shows the estimate",
    )


def told(order: Order, work: judge.Work, sums: Estimate) -> str:
    """What is about to happen, in a sentence."""
    where = order.endpoint.identity["endpoint"]
    if work.pending and not work.to_ask:
        known = counted(len(work.pending), "verdict is", "verdicts are")
        return f"{order.endpoint.model}: nothing to ask: {known} known already"
    if not work.pending:
        done = counted(work.done, "judgment is", "judgments are")
        return f"{order.endpoint.model}: nothing to do: {done} there"
    there = f" ({work.done} are there)" if work.done else ""
    known = f", {counted(work.remembered, 'is', 'are')} known already" if work.remembered else ""
    requests = counted(len(work.to_ask), "request", "requests")
    return f"{order.endpoint.model} at {where}: {requests}{there}{known}, {_costs(order, sums)}"


def counted(number: int, one: str, several: str) -> str:
    """A number with its word."""
    return f"{number:,} {one if number == 1 else several}"


def _costs(order: Order, sums: Estimate) -> str:
    tokens = f"about {sums.prompt_tokens:,} tokens in and {sums.completion_tokens:,} out"
    if order.prices is None or sums.likely is None:
        unknown = "; what they cost is not known (--price IN,OUT says it)"
        return tokens if order.endpoint.is_near else f"{tokens}{unknown}"
    most = f", at most ${sums.at_most:,.2f}" if sums.at_most is not None else ""
    return f"{tokens}, about ${sums.likely:,.2f}{most} (prices: {order.prices.source})"


def agree(order: Order) -> None:
    """Let a person at a terminal say yes; anybody else has to say so on the command line."""
    if order.is_agreed:
        return
    demand_yes(order)
    sys.stderr.write("go on? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was asked, nothing was spent")
