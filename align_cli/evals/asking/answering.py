"""A benchmark's questions, answered by a model that an endpoint serves: each turn after the one before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from align_cli.errors import Interrupted
from align_cli.evals.asking.ask import ask_all
from align_cli.evals.asking.endpoint import Endpoint
from align_cli.evals.asking.limits import Limits
from align_cli.evals.asking.outcome import Outcome, Request, State, Tally
from align_cli.evals.asking.prices import Prices
from align_cli.evals.benchmark import Answer, Answers, AnswerState, Question
from align_cli.files import digest_of

#: What came of a request, as an answer. A refusal is an answer that the endpoint keeps to itself.
_STATES: dict[State, AnswerState] = {
    "ok": "ok",
    "length": "length",
    "filtered": "filtered",
    "refused": "filtered",
    "too_long": "too_long",
    "failed": "failed",
}


def answer(
    endpoint: Endpoint,
    questions: Sequence[Question],
    have: Answers,
    *,
    system: str | None = None,
    seed: int | None = None,
    limits: Limits | None = None,
    prices: Prices | None = None,
    max_cost: float | None = None,
    on_answer: Callable[[Answer], None],
    is_stopped: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda line: None,
) -> Tally | None:
    """Make the answers that are missing: each turn is asked with the model's own answers to those before it.

    A turn without an answer ends its question. Whoever goes on with `have` asks failed turns anew.

    Args:
        endpoint: Who answers.
        questions: In the order in which they are begun.
        have: Turns that are there; failed ones count as missing, and so do those after them.
        system: A system prompt.
        seed: Sent with each request; not all servers heed it.
        limits: As for `ask_all`.
        prices: As for `ask_all`.
        max_cost: As for `ask_all`.
        on_answer: Called with each answer as soon as it is there.
        is_stopped: Once it is true, nothing more is sent, and what comes of requests on their way is awaited.
        say: Told of long waits, and of what is sent otherwise than asked for.

    Returns:
        What came of it; None if `is_stopped` ended it, as with the other engines.

    Raises:
        EndpointError, AlignError, UsageError, Interrupted: as `ask_all`; the last of Ctrl-C only.
    """
    conversations = [
        _Conversation(endpoint, question, have.get(question.id, ()), system, seed) for question in questions
    ]
    by_key: dict[str, _Conversation] = {}

    def requests() -> Iterator[Request]:
        for conversation in conversations:
            yield from following(conversation)

    def following(conversation: _Conversation) -> Iterator[Request]:
        request = conversation.request()
        if request is not None:
            by_key[request.key] = conversation
            yield request

    def take(outcome: Outcome) -> Iterator[Request]:
        conversation = by_key.pop(outcome.key)
        on_answer(conversation.take(outcome))
        return following(conversation)

    try:
        return ask_all(
            endpoint,
            requests(),
            limits=limits,
            prices=prices,
            max_cost=max_cost,
            on_outcome=take,
            is_stopped=is_stopped,
            say=say,
        )
    except Interrupted:
        if is_stopped():
            return None
        raise


class _Conversation:
    """A question, and how far its turns are."""

    def __init__(
        self, endpoint: Endpoint, question: Question, have: Sequence[Answer], system: str | None, seed: int | None
    ) -> None:
        self._endpoint, self._question, self._seed = endpoint, question, seed
        self._system = [{"role": "system", "content": system}] if system else []
        self._said: list[str] = []
        self._is_over = False
        for answer in have:
            if answer.state == "failed" or answer.turn != len(self._said) + 1:
                break
            self._add(answer)

    def request(self) -> Request | None:
        """What asks the next turn; None if there is none."""
        turn = len(self._said)
        if self._is_over or turn >= len(self._question.turns):
            return None
        messages = list(self._system)
        for asked, said in zip(self._question.turns, self._said, strict=False):
            messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
        messages.append({"role": "user", "content": self._question.turns[turn]})
        parameters: dict[str, Any] = {
            "temperature": self._question.temperature,
            "max_tokens": self._question.max_new_tokens,
        }
        if self._seed is not None:
            parameters["seed"] = self._seed
        what = [self._endpoint.identity, self._question.id, turn, messages, parameters]
        return Request(key=digest_of(what)[:32], messages=messages, parameters=parameters)

    def take(self, outcome: Outcome) -> Answer:
        """The answer in what came of the request."""
        answer = Answer(
            question_id=self._question.id,
            turn=len(self._said) + 1,
            text=outcome.text,
            state=_STATES[outcome.state],
            why=outcome.why,
            prompt_tokens=outcome.usage.get("prompt_tokens", 0),
            new_tokens=outcome.usage.get("completion_tokens", 0),
            seconds=round(outcome.seconds, 3),
        )
        self._add(answer)
        return answer

    def _add(self, answer: Answer) -> None:
        self._said.append(answer.text)
        self._is_over = not answer.is_one
