"""`align eval BENCHMARK generate`: the model's answers, made where they are missing."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from align_cli import files
from align_cli.cli.evals import places, words
from align_cli.cli.evals.questions import Asked, own_questions, take_over
from align_cli.cli.evals.words import Answering, Pace, Questions
from align_cli.cli.signs import one_line
from align_cli.errors import UsageError
from align_cli.evals import answering, records
from align_cli.evals.answering import ENGINES, Choice, Manner, Work
from align_cli.evals.asking.limits import Limits
from align_cli.evals.benchmark import Answer, Assets, Benchmark, Question
from align_cli.evals.folder import ANSWERS, Evaluation
from align_cli.evals.records import Journal

_PROMISE = "stopping: what is answered is kept"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the command line asks for, and can be right."""

    model: str
    manner: Manner
    choice: Choice
    own: Sequence[Question] | None
    """The user's questions; None: the benchmark's, or those of the folder that is gone on with."""
    files: Assets
    limits: Limits
    how: Answering


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


def order(benchmark: Benchmark, model: str, how: Answering, questions: Questions, pace: Pace) -> Order:
    """The order; what cannot be right is said before anything is fetched or loaded.

    Raises:
        UsageError: naming the option or the model.
    """
    if how.engine not in ENGINES[:2]:
        raise UsageError(f'there is no engine "{how.engine}"', hint="transformers or vllm; --endpoint URL for a server")
    local: dict[str, object] = {
        "--engine": how.engine != "transformers",
        "--dtype": how.dtype != "auto",
        "--batch-size": how.batch_size,
        "--chat-template": how.chat_template,
        "--base": how.base,
        "--revision": how.revision,
        "--trust-remote-code": how.trust_remote_code,
    }
    idle = [option for option, value in local.items() if value]
    if idle and how.endpoint:
        raise UsageError(f"{', '.join(idle)}: these are the server's affair with --endpoint", hint="leave them out")
    words.demand_number("--temperature", how.temperature)
    if how.temperature is not None and how.temperature < 0:
        raise UsageError("--temperature is below 0")
    words.demand_positive("--max-new-tokens", how.max_new_tokens)
    words.demand_positive("--batch-size", how.batch_size)
    if not how.endpoint:
        from align_cli.cli.models import model_names
        from align_cli.models.speaking.opened import demand_dtype

        demand_dtype(how.dtype)
        model_names.demand(model, verb="chat")
    manner = Manner(
        engine="endpoint" if how.endpoint else how.engine,
        seed=how.seed,
        temperature=how.temperature,
        max_new_tokens=how.max_new_tokens,
        system=how.system,
        dtype="the server's" if how.endpoint else how.dtype,
    )
    own = own_questions(how.questions, benchmark)
    if own is None:
        own = places.of_model(model, benchmark.name, how.output_dir, how.name).questions()
    return Order(
        own=own, model=model, manner=manner, choice=questions.choice, files=questions.files, limits=pace.limits, how=how
    )


def generate(order: Order, benchmark: Benchmark, say: Callable[[str], None]) -> Generated:
    """Make the missing answers.

    Raises:
        UsageError: the model or its template is wrong, or the answers there were made otherwise.
        Interrupted: somebody stopped it; what was answered is kept.
    """
    evaluation = places.of_model(order.model, benchmark.name, order.how.output_dir, order.how.name)
    plain = benchmark.questions(order.files) if order.own is None else order.own
    questions = answering.in_manner(plain, order.manner)
    chosen = order.choice.of(questions)
    if not chosen:
        raise UsageError(
            f"{benchmark.name} has no such questions",
            hint=f"its categories: {', '.join(dict.fromkeys(question.category for question in questions))}",
        )
    if order.how.restart:
        evaluation = _moved_aside(evaluation, say)
    run = _by_endpoint if order.how.endpoint else _by_model
    with records.exclusive(evaluation.path, f"align eval {benchmark.name} generate"):
        return run(order, benchmark, evaluation, Asked(questions=questions, chosen=chosen, own=order.own), say)


def _by_model(
    order: Order,
    benchmark: Benchmark,
    evaluation: Evaluation,
    asked: Asked,
    say: Callable[[str], None],
) -> Generated:
    """Answers of a model on this machine."""
    from align_cli.cli import render
    from align_cli.cli.models.model_names import chain
    from align_cli.evals import speaking

    trusted = order.how.trust_remote_code
    with render.working(sys.stderr) as tell:
        links = chain(
            order.model,
            revision=order.how.revision,
            base=order.how.base,
            trust_remote_code=trusted,
            say=tell,
            verb=f"eval {benchmark.name}",
        )
        how = speaking.speaking(links, order.how.chat_template)
        wanted = order.manner.system
        system = (wanted if wanted is not None else how.served.system) or None
        manner = replace(order.manner, system=system)
        model = speaking.facts(how, order.how.name or places.short_name(order.model), system)
        evaluation.begin(asked.facts(benchmark, model, manner), asked.own)
    notes = [how.served.note] if how.served.note and wanted is None else []
    shown = _shown(system, how.default_system)
    say(f"{evaluation.path}: {evaluation.model}, template: {how.template_name}, system prompt: {shown}")
    todo = _unfinished(order, benchmark, evaluation, asked, say)
    if not todo.turns:
        return Generated(evaluation=evaluation, made=0, had=todo.done, notes=notes)

    from align_cli.models.speaking import opened

    with render.working(sys.stderr) as tell:
        tell(f"opening {order.model}")
        speaker = opened.open_chain(
            links,
            chat_template=order.how.chat_template,
            dtype=manner.dtype,
            trust_remote_code=trusted,
            weights=manner.engine != "vllm",
            say=tell,
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
            batch_size=order.how.batch_size,
            system=system,
            on_answer=keep,
            on_progress=show,
            is_stopped=is_stopped,
            say=say,
        )

    return _answered(evaluation, todo, answer, notes, say)


def _by_endpoint(
    order: Order,
    benchmark: Benchmark,
    evaluation: Evaluation,
    asked: Asked,
    say: Callable[[str], None],
) -> Generated:
    """Answers of a model that a server has; the template is the server's affair."""
    from align_cli.evals.asking.answering import answer as ask
    from align_cli.evals.asking.endpoint import endpoint

    server = endpoint(order.model, base_url=order.how.endpoint, key_env=order.how.key_env)
    manner = replace(order.manner, system=order.manner.system or None)
    model = {"name": order.how.name or order.model, "served": dict(server.identity)}
    evaluation.begin(asked.facts(benchmark, model, manner), asked.own)
    template = "the server's (chat completions)"
    say(f"{evaluation.path}: {evaluation.model}, template: {template}, system prompt: {_shown(manner.system)}")
    todo = _unfinished(order, benchmark, evaluation, asked, say)
    if not todo.turns:
        return Generated(evaluation=evaluation, made=0, had=todo.done)

    def answer(keep: Callable[[Answer], None], show: Callable[[Any], None], is_stopped: Callable[[], bool]) -> None:
        ask(
            server,
            todo.questions,
            todo.have,
            system=manner.system,
            seed=manner.seed,
            limits=order.limits,
            on_answer=keep,
            is_stopped=is_stopped,
            say=say,
        )

    return _answered(evaluation, todo, answer, [], say)


def _unfinished(
    order: Order, benchmark: Benchmark, evaluation: Evaluation, asked: Asked, say: Callable[[str], None]
) -> Work:
    """What is still to be made, once the model's answers to a benchmark of the same questions are here too."""
    if not order.how.restart and order.how.output_dir is None:
        others = [places.of_model(order.model, name, None, order.how.name) for name in benchmark.same_questions]
        take_over(others, evaluation, asked.chosen, say)
    return answering.unfinished(evaluation, asked.chosen)


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
        total = todo.done + todo.turns
        counter.show(todo.done, total)

        def count(answer: Answer) -> None:
            nonlocal tokens
            states[answer.state] += 1
            tokens += answer.new_tokens
            if not has_moments:  # an endpoint's answers come as they come
                pace = tokens / max(time.monotonic() - started, 1e-9)
                counter.show(todo.done + states.total(), total, f"{pace:,.0f} tokens/s")

        has_moments = False

        def show(now: Any) -> None:
            nonlocal has_moments
            has_moments = True
            aside = f"{now.tokens_per_second:,.0f} tokens/s, {now.rows} at a time"
            counter.show(todo.done + states.total(), total, aside, now.seconds_left)

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


def _shown(system: str | None, of_template: str | None = None) -> str:
    if system is None and of_template:
        return f'the template\'s own, "{one_line(of_template, 60)}"'
    return f'"{one_line(system, 60)}"' if system else "none"
