"""`align eval BENCHMARK generate`: the model's answers, made where they are missing."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from align_cli import files
from align_cli.cli.evals import places
from align_cli.cli.signs import one_line
from align_cli.errors import UsageError
from align_cli.evals import answering, records
from align_cli.evals.answering import ENGINES, Choice, Manner, Work
from align_cli.evals.benchmark import Answer, Assets, Benchmark, Question
from align_cli.evals.folder import ANSWERS, Evaluation
from align_cli.evals.records import Journal

_PROMISE = "stopping: what is answered is kept"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the command line asks for."""

    model: str
    manner: Manner
    choice: Choice
    files: Assets
    name: str | None = None
    output_dir: Path | None = None
    chat_template: str | None = None
    base: str | None = None
    revision: str | None = None
    trust_remote_code: bool = False
    endpoint: str | None = None
    key_env: str | None = None
    limits: Any = None
    batch_size: int | None = None
    restart: bool = False


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What was done."""

    evaluation: Evaluation
    made: int
    """Turns that were answered now."""
    had: int
    """Turns that were there."""
    states: dict[str, int] = field(default_factory=dict)
    """Of the turns that were answered now."""
    notes: Sequence[str] = ()
    tokens: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "evaluation": str(self.evaluation.path),
            "answered": self.made,
            "were_there": self.had,
            "states": self.states,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 1),
            "notes": list(self.notes),
        }


def demand(order: Order) -> None:
    """Raise for what cannot be right, before anything is fetched or loaded.

    Raises:
        UsageError: naming the option or the model.
    """
    manner = order.manner
    if manner.engine not in ENGINES[:2] and not order.endpoint:
        raise UsageError(f'there is no engine "{manner.engine}"', hint="transformers or vllm; --endpoint for a server")
    if manner.temperature is not None and manner.temperature < 0:
        raise UsageError("--temperature is below 0")
    if order.endpoint:
        return
    from align_cli.cli.models import model_names
    from align_cli.models.speaking.opened import demand_dtype

    demand_dtype(manner.dtype)
    model_names.demand(order.model, verb="eval")


def generate(order: Order, benchmark: Benchmark, say: Callable[[str], None]) -> Generated:
    """Make the missing answers.

    Raises:
        UsageError: the model or its template is wrong, or the answers there were made otherwise.
        Interrupted: somebody stopped it; what was answered is kept.
    """
    questions = answering.questions_of(benchmark, order.manner, order.files)
    evaluation = places.of_model(order.model, benchmark.name, order.output_dir, order.name)
    chosen = order.choice.of(questions)
    if not chosen:
        raise UsageError(
            f"{benchmark.name} has no such questions",
            hint=f"its categories: {', '.join(dict.fromkeys(question.category for question in questions))}",
        )
    if order.restart:
        evaluation = _moved_aside(evaluation, say)
    run = _by_endpoint if order.endpoint else _by_model
    with records.exclusive(evaluation.path, f"align eval {benchmark.name} generate"):
        return run(order, benchmark, evaluation, questions, chosen, say)


def _by_model(
    order: Order,
    benchmark: Benchmark,
    evaluation: Evaluation,
    questions: Sequence[Question],
    chosen: Sequence[Question],
    say: Callable[[str], None],
) -> Generated:
    """Answers of a model on this machine."""
    from align_cli.cli import render
    from align_cli.cli.models.model_names import chain
    from align_cli.evals import speaking

    trusted = order.trust_remote_code
    with render.working(sys.stderr) as tell:
        links = chain(
            order.model,
            revision=order.revision,
            base=order.base,
            trust_remote_code=trusted,
            say=tell,
            verb=f"eval {benchmark.name}",
        )
        how = speaking.speaking(links, order.chat_template)
        wanted = order.manner.system
        system = (wanted if wanted is not None else how.served.system) or None
        manner = replace(order.manner, system=system)
        model = speaking.facts(how, order.name or places.short_name(order.model))
        evaluation.begin(answering.facts(benchmark, model, manner, questions))
    notes = [how.served.note] if how.served.note and wanted is None else []
    say(f"{evaluation.path}: {evaluation.model}, template: {how.template_name}, system prompt: {_shown(system)}")
    todo = answering.unfinished(evaluation, chosen)
    if not todo.turns:
        return Generated(evaluation=evaluation, made=0, had=todo.done, notes=notes)

    from align_cli.models.speaking import opened

    with render.working(sys.stderr) as tell:
        tell(f"opening {order.model}")
        speaker = opened.open_chain(
            links, chat_template=order.chat_template, dtype=manner.dtype, trust_remote_code=trusted, say=tell
        )

    def answer(keep: Callable[[Answer], None], show: Callable[[Any], None], is_stopped: Callable[[], bool]) -> None:
        if manner.engine == "vllm":
            from align_cli.evals.generate.with_vllm import generate as engine
        else:
            from align_cli.evals.generate.batched import generate as engine
        engine(
            speaker,
            todo.questions,
            todo.have,
            seed=manner.seed,
            batch_size=order.batch_size,
            system=system,
            on_answer=keep,
            on_progress=show,
            is_stopped=is_stopped,
        )

    return _answered(evaluation, todo, answer, notes, say)


def _by_endpoint(
    order: Order,
    benchmark: Benchmark,
    evaluation: Evaluation,
    questions: Sequence[Question],
    chosen: Sequence[Question],
    say: Callable[[str], None],
) -> Generated:
    """Answers of a model that a server has; the template is the server's affair."""
    from align_cli.evals.asking import answering as asking
    from align_cli.evals.asking.endpoint import endpoint

    server = endpoint(order.model, base_url=order.endpoint, key_env=order.key_env)
    manner = replace(order.manner, engine="endpoint", dtype="the server's", system=order.manner.system or None)
    model = {"name": order.name or order.model, "served": dict(server.identity)}
    evaluation.begin(answering.facts(benchmark, model, manner, questions))
    template = "the server's (chat completions)"
    say(f"{evaluation.path}: {evaluation.model}, template: {template}, system prompt: {_shown(manner.system)}")
    todo = answering.unfinished(evaluation, chosen)
    if not todo.turns:
        return Generated(evaluation=evaluation, made=0, had=todo.done)

    def answer(keep: Callable[[Answer], None], show: Callable[[Any], None], is_stopped: Callable[[], bool]) -> None:
        asking.answer(
            server,
            todo.questions,
            todo.have,
            system=manner.system,
            seed=manner.seed,
            limits=order.limits,
            on_answer=keep,
            is_stopped=is_stopped,
        )

    return _answered(evaluation, todo, answer, [], say)


def _answered(
    evaluation: Evaluation,
    todo: Work,
    answer: Callable[..., None],
    notes: list[str],
    say: Callable[[str], None],
) -> Generated:
    """Let an engine work; every answer is on the disk as soon as it is whole."""
    from align_cli.cli import render
    from align_cli.interrupt import listening

    states: Counter[str] = Counter()
    tokens, started = 0, time.monotonic()
    journal = Journal(evaluation.path / ANSWERS)
    with render.counting(sys.stderr, "turns") as counter, listening(counter.say, _PROMISE) as stop:
        counter.show(todo.done, todo.done + todo.turns)

        def count(answer: Answer) -> None:
            nonlocal tokens
            states[answer.state] += 1
            tokens += answer.new_tokens
            pace = tokens / max(time.monotonic() - started, 1e-9)
            counter.show(todo.done + states.total(), todo.done + todo.turns, f"{pace:,.0f} tokens/s", left())

        def left() -> float | None:
            return None if moment is None else moment.seconds_left

        moment: Any = None

        def show(now: Any) -> None:
            nonlocal moment
            moment = now
            aside = f"{now.tokens_per_second:,.0f} tokens/s"
            counter.show(todo.done + states.total(), todo.done + todo.turns, aside, now.seconds_left)

        try:
            answer(answering.keep(journal, count), show, lambda: stop.asked)
        finally:
            journal.close()
    if stop.asked:
        made = todo.done + states.total()
        raise stop.error(
            f"{evaluation.path}: stopped; {made} of {todo.done + todo.turns} turns are answered and kept",
            hint="the same command goes on from there",
        )
    return Generated(
        evaluation=evaluation,
        made=states.total(),
        had=todo.done,
        states=dict(sorted(states.items())),
        notes=notes,
        tokens=tokens,
        seconds=time.monotonic() - started,
    )


def _moved_aside(evaluation: Evaluation, say: Callable[[str], None]) -> Evaluation:
    """The same place, empty; what was there gets another name."""
    if evaluation.path.is_dir():
        with records.exclusive(evaluation.path, "align eval --restart"):
            say(f"note: what was there is now {files.move_aside(evaluation.path)}")
    return Evaluation(evaluation.path)


def _shown(system: str | None) -> str:
    return f'"{one_line(system, 60)}"' if system else "none"
