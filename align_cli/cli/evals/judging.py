"""`align eval BENCHMARK judge`: what it will cost, a yes, and the judgments that are missing."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from align_cli.cli.evals import agreeing, places, words
from align_cli.cli.evals.references import references_of
from align_cli.cli.evals.words import Judging, Pace, Questions
from align_cli.errors import Interrupted, UsageError
from align_cli.evals import judge, records
from align_cli.evals.answering import Choice
from align_cli.evals.asked import questions_of
from align_cli.evals.asking.endpoint import Endpoint, endpoint
from align_cli.evals.asking.limits import Limits
from align_cli.evals.asking.prices import Prices, estimate, prices_of
from align_cli.evals.benchmark import MODES, Assets, Benchmark, Mode, Question, Reference
from align_cli.evals.benchmark import Judging as Court
from align_cli.evals.folder import Evaluation
from align_cli.evals.judgments import Judgment
from align_cli.evals.remembered import Remembered

#: After so many replies, none of which can be read, the judge or its endpoint is the wrong one.
_HOPELESS = 20
_PROMISE = "stopping: replies that are on their way are awaited, and everything is kept"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the command line asks for, and can be right."""

    endpoint: Endpoint
    mode: Mode
    baseline: Evaluation | None
    references: str
    """A set's name, or that of `reference`."""
    reference: Reference | None
    choice: Choice
    files: Assets
    limits: Limits
    prices: Prices | None
    max_cost: float | None
    again: tuple[str, ...]
    is_sharing: bool
    """Whether replies that other evaluations had are taken over; ours are kept for them in any case."""
    yes: bool
    dry_run: bool

    @property
    def is_agreed(self) -> bool:
        """Whether nobody need be asked: `--yes`, or a server of one's own that has no price."""
        return self.yes or (self.endpoint.is_near and self.prices is None)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What was done."""

    evaluations: Sequence[Evaluation]
    estimate: dict[str, Any]
    asked: int
    """What was judged now, `taken_over` included."""
    had: int
    unanswered: int
    taken_over: int = 0
    """Verdicts that nobody had to be asked for: other evaluations had the reply, or it was known."""
    states: dict[str, int] = field(default_factory=dict)
    """Of what was asked now."""
    spent: float | None = None
    """USD, now; None where no price is known."""
    notes: Sequence[str] = ()
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "evaluations": [str(one.path) for one in self.evaluations],
            "estimate": self.estimate,
            "asked": self.asked,
            "taken_over": self.taken_over,
            "were_there": self.had,
            "unanswered_turns": self.unanswered,
            "states": self.states,
            "spent_usd": self.spent,
            "seconds": round(self.seconds, 1),
            "notes": list(self.notes),
        }


def order(
    benchmark: Benchmark,
    how: Judging,
    questions: Questions,
    pace: Pace,
    models: Sequence[str],
    *,
    dry_run: bool = False,
) -> Order:
    """The order; what cannot be right is said before anything is done.

    Raises:
        UsageError: naming the option.
    """
    mode = _mode(benchmark, how.mode, how.baseline, models)
    again = tuple(how.retry or ())
    if strange := [state for state in again if state not in judge.AGAIN]:
        raise UsageError(f'--retry: there is no state "{strange[0]}"', hint=f"one of {', '.join(judge.AGAIN)}")
    words.demand_positive("--max-cost", how.max_cost)
    judge_name = benchmark.judge if how.judge is None else how.judge
    asked = endpoint(judge_name, base_url=how.judge_endpoint, key_env=how.judge_key_env, needs_key=not dry_run)
    # A server of one's own may have any name and costs nothing, unless somebody says otherwise.
    prices = None if asked.is_near and how.price is None else prices_of(judge_name, how.price)
    if how.max_cost is not None and prices is None:
        raise UsageError(
            f"--max-cost: the price of {judge_name} is not known",
            hint="--price IN,OUT says what a million tokens cost, in USD; --price 0,0 for a server of your own",
        )
    references, reference = references_of(benchmark, how.reference, models)
    return Order(
        endpoint=asked,
        mode=mode,
        baseline=places.existing(how.baseline, benchmark.name) if how.baseline else None,
        references=references,
        reference=reference,
        choice=questions.choice,
        files=questions.files,
        limits=pace.limits,
        prices=prices,
        max_cost=how.max_cost,
        again=again,
        # What a name at a server of one's own stands for may change from day to day.
        is_sharing=not asked.is_near if how.share is None else how.share,
        yes=how.yes,
        dry_run=dry_run,
    )


def _mode(benchmark: Benchmark, mode: str, baseline: str | None, models: Sequence[str]) -> Mode:
    """The mode, if the benchmark has it and everything that it needs is named."""
    if mode not in MODES or mode not in benchmark.modes:
        raise UsageError(f'{benchmark.name} has no mode "{mode}"', hint=f"one of {', '.join(benchmark.modes)}")
    if mode == "pairwise-baseline" and not baseline:
        raise UsageError("--mode pairwise-baseline needs --baseline", hint="--baseline RUN, whose answers are there")
    if mode != "pairwise-baseline" and baseline:
        hint = "--mode pairwise-baseline --baseline …" if "pairwise-baseline" in benchmark.modes else "--reference RUN"
        raise UsageError(f"--baseline has no meaning with --mode {mode}", hint=hint)
    if mode == "pairwise-all" and len(models) < 2:
        raise UsageError("--mode pairwise-all compares models with each other: name at least two")
    found: Mode = mode
    return found


def demand_files(order: Order, benchmark: Benchmark, own: Sequence[Question] | None) -> None:
    """Raise where the judge's prompts or reference answers cannot be had, before a model is asked anything.

    Raises:
        UsageError: the reference answers are to other questions.
        DataError: a file cannot be had.
    """
    if order.mode != "single":  # pairs cannot be made of no models
        return
    questions = benchmark.questions(order.files) if own is None else own
    nobody = Court(
        mode=order.mode,
        questions=questions,
        answers={},
        references=order.references,
        reference=order.reference,
        assets=order.files,
    )
    list(benchmark.asks(nobody))


def work_of(order: Order, benchmark: Benchmark, evaluations: Sequence[Evaluation]) -> judge.Work:
    """What is still to be judged."""
    return judge.work(
        evaluations,
        benchmark,
        _asked(order, benchmark, evaluations),
        order.endpoint.identity,
        mode=order.mode,
        baseline=order.baseline,
        references=order.references,
        reference=order.reference,
        files=order.files,
        again=order.again,
        shared=Remembered() if order.is_sharing else None,
    )


def _asked(order: Order, benchmark: Benchmark, evaluations: Sequence[Evaluation]) -> Sequence[Question]:
    everyone = [*evaluations, *([order.baseline] if order.baseline else [])]
    return order.choice.of(questions_of(everyone, benchmark, order.files))


def judged(order: Order, benchmark: Benchmark, evaluations: Sequence[Evaluation], say: Callable[[str], None]) -> Judged:
    """Ask the judge for what is missing.

    Raises:
        UsageError: nobody agreed to the cost, or another process is at work there.
        EndpointError: the judge cannot be had; what it said is kept.
        Interrupted: somebody stopped it; what the judge said is kept.
    """
    if order.baseline and order.baseline.path.resolve() in [one.path.resolve() for one in evaluations]:
        raise UsageError(f"{order.baseline.path}: this is the baseline, and the model that is held against it")
    with records.all_exclusive([one.path for one in evaluations], f"align eval {benchmark.name} judge"):
        work = work_of(order, benchmark, evaluations)
        sums = estimate([pending.request for pending in work.to_ask], order.prices)
        said: dict[str, Any] = {
            "evaluations": evaluations,
            "estimate": asdict(sums),
            "had": work.done,
            "unanswered": work.unanswered,
        }
        if work.unanswered:
            say(f"note: {work.unanswered} turns have no answer and are not judged")
        if order.reference is not None:
            asked = _asked(order, benchmark, evaluations)
            lacking = sum(one.id not in order.reference.answers for one in asked)
            if lacking:
                say(f"note: {order.reference.name} has not answered {lacking} of {len(asked)} questions: not judged")
        say(agreeing.told(order, work, sums))
        if not work.pending or order.dry_run:
            return Judged(asked=0, **said)
        if work.to_ask:
            agreeing.agree(order)
        if order.reference is not None:
            for one in evaluations:
                one.keep_reference(order.reference)
        return _ask(order, benchmark, work, said)


def _ask(order: Order, benchmark: Benchmark, work: judge.Work, said: dict[str, Any]) -> Judged:
    from align_cli.cli import render
    from align_cli.evals.asking.ask import ask_all
    from align_cli.interrupt import listening

    states: Counter[str] = Counter()
    spent, started = 0.0, time.monotonic()
    total = work.done + len(work.pending)
    with render.counting(sys.stderr, "judgments") as counter, listening(counter.say, _PROMISE) as stop:
        counter.show(work.done, total)
        hopeless: list[str] = []
        known = len(work.pending) - len(work.to_ask)  # they have verdicts, and come first

        def count(judgment: Judgment) -> None:
            nonlocal spent
            states[judgment.state] += 1
            spent += judgment.cost or 0.0
            elapsed = time.monotonic() - started
            left = elapsed / states.total() * (len(work.pending) - states.total())
            aside = f"{order.endpoint.model}, ${spent:,.2f}" if order.prices else order.endpoint.model
            if odd := states.total() - states["ok"]:
                aside += f", {odd} without a verdict"
            counter.show(work.done + states.total(), total, aside, left)
            if states["unreadable"] == states.total() - known == _HOPELESS < len(work.to_ask):
                hopeless.append(judgment.why)

        keep = judge.judged(benchmark, order.endpoint, work, count, Remembered())
        try:
            tally = ask_all(
                order.endpoint,
                [pending.request for pending in work.to_ask],
                limits=order.limits,
                prices=order.prices,
                max_cost=order.max_cost,
                on_outcome=keep,
                is_stopped=lambda: stop.asked or bool(hopeless),
                say=counter.say,
            )
        except Interrupted as error:
            if hopeless:
                raise UsageError(
                    f"none of the first {_HOPELESS} replies of {order.endpoint.model} has a verdict: {hopeless[0]}",
                    hint="they are kept; --retry unreadable asks again; is this judge fit for this benchmark?",
                ) from error
            raise stop.error(
                f"stopped; {work.done + states.total()} of {total} judgments are there and kept",
                hint="the same command goes on from there; nothing that was answered is asked again",
            ) from error
    return Judged(
        asked=states.total(),
        taken_over=len(work.pending) - len(work.to_ask),
        states=dict(sorted(states.items())),
        spent=spent if order.prices else None,
        notes=tuple(tally.notes),
        seconds=time.monotonic() - started,
        **said,
    )
