"""A question on its way: what was said so far, the next prompt, and an answer cut from a model's tokens."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from align_cli.evals.benchmark import Answer, Question
from align_cli.models.templates import Messages

#: Below it the likeliest token is taken, as FastChat's gen_model_answer.py does.
GREEDY_BELOW = 1e-4


class Voice(Protocol):
    """What is asked of an opened model here; `align_cli.models.speaking.opened.Opened` is one."""

    @property
    def name(self) -> str:
        """The model's."""

    @property
    def tokenizer(self) -> Any:
        """Of transformers."""

    @property
    def end_tokens(self) -> tuple[int, ...]:
        """Ids that end an answer."""

    @property
    def context_length(self) -> int | None:
        """Tokens that the model was made for."""

    def prompt(self, messages: Messages) -> list[int]:
        """The conversation as token ids, up to where the assistant begins to speak."""


@dataclass(kw_only=True)
class Talk:
    """One question, from its first turn to its last."""

    question: Question
    system: str | None
    texts: list[str] = field(default_factory=list)
    """The model's answers so far."""
    drawn: int = 0
    """Tokens that were sampled for them: so far the question's random numbers are used up."""

    @property
    def turn(self) -> int:
        """The one that is next, from 1."""
        return len(self.texts) + 1

    @property
    def left(self) -> int:
        """Turns without an answer."""
        return len(self.question.turns) - len(self.texts)

    @property
    def is_greedy(self) -> bool:
        """Whether nothing is sampled."""
        return self.question.temperature < GREEDY_BELOW

    def messages(self) -> list[dict[str, str]]:
        """The conversation up to the user's words of the next turn."""
        found = [{"role": "system", "content": self.system}] if self.system is not None else []
        for said, answered in zip(self.question.turns, self.texts, strict=False):
            found += [{"role": "user", "content": said}, {"role": "assistant", "content": answered}]
        return [*found, {"role": "user", "content": self.question.turns[len(self.texts)]}]

    def take(self, answer: Answer) -> None:
        """Go on from an answer."""
        self.texts.append(answer.text)
        self.drawn += answer.new_tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What is put before the model."""

    tokens: list[int]
    room: int
    """New tokens at most."""


def talks(questions: Sequence[Question], have: Mapping[int | str, Sequence[Answer]], system: str | None) -> list[Talk]:
    """The questions that have turns left, each where `have` leaves it."""
    found = []
    for question in questions:
        talk = Talk(question=question, system=system)
        is_over = False
        for answer in have.get(question.id, ()):
            talk.take(answer)
            is_over = is_over or not answer.is_one
        if talk.left > 0 and not is_over:
            found.append(talk)
    return found


def prompt(voice: Voice, talk: Talk) -> Prompt | Answer:
    """What to put before the model next, or the answer that says that it does not fit.

    Raises:
        UsageError: the template refuses the conversation.
    """
    tokens = voice.prompt(talk.messages())
    room = talk.question.max_new_tokens
    if (context := voice.context_length) is not None:
        room = min(room, context - len(tokens))
    if room > 0:
        return Prompt(tokens=tokens, room=room)
    return Answer(
        question_id=talk.question.id,
        turn=talk.turn,
        text="",
        state="too_long",
        why=f"the prompt has {len(tokens):,} tokens and the model's context {context:,}",
        prompt_tokens=len(tokens),
        tstamp=time.time(),
    )


def answer(
    voice: Voice, talk: Talk, asked: Prompt, new: Sequence[int], *, near_ties: int = 0, seconds: float = 0.0
) -> Answer:
    """What the model said; `new` are its tokens, the one that ended them included."""
    has_ended = bool(new) and new[-1] in voice.end_tokens
    why = ""
    if not has_ended:
        is_cut = asked.room < talk.question.max_new_tokens
        why = f"cut at {asked.room:,} tokens: " + ("the model's context is full" if is_cut else "max_new_tokens")
    return Answer(
        question_id=talk.question.id,
        turn=talk.turn,
        text=clean(voice.tokenizer, new[:-1] if has_ended else new),
        state="ok" if has_ended else "length",
        why=why,
        prompt_tokens=len(asked.tokens),
        new_tokens=len(new),
        near_ties=near_ties,
        seconds=seconds,
        tstamp=time.time(),
    )


def clean(tokenizer: Any, tokens: Sequence[int]) -> str:
    """Tokens as text, without special tokens and the space around, as FastChat's gen_model_answer.py cleans it."""
    text: str = tokenizer.decode(list(tokens), skip_special_tokens=False, spaces_between_special_tokens=False)
    for special in tokenizer.all_special_tokens:
        text = text.replace(str(special), "")
    return text.strip()
