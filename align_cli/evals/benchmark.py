"""What a benchmark is: its questions, what a judge is asked about the answers, and how the judge's words are read.

A value, not a base class: a plugin makes one and registers it, as it does a task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from align_cli import assets
from align_cli.files import digest_of

if TYPE_CHECKING:
    from align_cli.evals.report.addition import Addition
    from align_cli.evals.report.material import Material

#: How answers are judged: each alone; against one model's; those of every two models. The last two are asked twice,
#: with the answers in either order.
Mode = Literal["single", "pairwise-baseline", "pairwise-all"]
MODES: tuple[Mode, ...] = ("single", "pairwise-baseline", "pairwise-all")

AnswerState = Literal["ok", "length", "too_long", "filtered", "failed"]
JudgmentState = Literal["ok", "unreadable", "filtered", "too_long", "refused", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What a model is asked: one user turn, or several that follow each other."""

    id: int | str
    category: str
    turns: tuple[str, ...]
    """The user's words; the model's own answers stand between them."""
    temperature: float = 0.0
    """0: the likeliest token."""
    max_new_tokens: int = 1024
    """A turn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a model said in one turn."""

    question_id: int | str
    turn: int
    """From 1."""
    text: str
    state: AnswerState = "ok"
    """`length`: cut at `max_new_tokens` or at the model's context; still an answer. The last three are none:
    the prompt filled the context, an endpoint's filter, an endpoint's or engine's fault."""
    why: str = ""
    """What to know about a state that is not `ok`."""
    prompt_tokens: int = 0
    new_tokens: int = 0
    near_ties: int = 0
    """Greedy choices so close that another batch size, by rounding, might have chosen otherwise."""
    seconds: float = 0.0
    tstamp: float = 0.0

    @property
    def is_one(self) -> bool:
        """Whether there is something to judge."""
        return self.state in ("ok", "length")


#: A model's answers: by question, in the order of the turns. An unfinished question has fewer than it has turns.
Answers = Mapping[int | str, Sequence[Answer]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """One request to a judge."""

    question_id: int | str
    turn: int
    prompt: str
    """Name of the judge's prompt."""
    models: tuple[str, ...]
    """Whose answers it shows, in the order shown: one, or two."""
    messages: tuple[Mapping[str, str], ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Of the request: temperature, max_tokens, …"""
    game: int = 1
    """1: the first model's answer is shown first; 2: the same two in the other order."""
    reference: str = ""
    """Name of the reference answers that it shows beside them; empty: it shows none."""
    known: Verdict | None = None
    """The verdict, where nobody need be asked for it."""

    def key(self, judge: Mapping[str, str]) -> str:
        """Digest of everything that makes the reply: equal asks to the same judge are asked once.

        `judge` names its model and endpoint. Two references may have the same answer: their verdicts are two.
        """
        made_of: list[Any] = [dict(judge), list(self.messages), dict(self.parameters), list(self.models)]
        return digest_of([*made_of, self.reference] if self.reference else made_of)[:32]

    def request_key(self, judge: Mapping[str, str]) -> str:
        """Digest of what is sent, and to whom: whatever it is asked for, the reply is the same."""
        return digest_of([dict(judge), [dict(one) for one in self.messages], dict(self.parameters)])


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a judge's reply says."""

    score: float | None = None
    """Of a single answer, on the benchmark's scale."""
    winner: str | None = None
    """Of two: one model's name, or `tie`."""
    unreadable: str = ""
    """Why it says nothing that counts; then score and winner are None."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judging:
    """What is to be judged."""

    mode: Mode
    questions: Sequence[Question]
    answers: Mapping[str, Answers]
    """By model; more than one for pairs."""
    baseline: str | None = None
    """Of `answers`, for `pairwise-baseline`."""
    references: str = ""
    """Which set of reference answers, where a benchmark has several; empty for its usual one."""
    reference: Reference | None = None
    """Reference answers of the user's own, instead of a set."""
    assets: Assets = field(default_factory=lambda: Assets())


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """Answers that a judge is shown beside a model's."""

    name: str
    """Whose they are."""
    answers: Mapping[int | str, Sequence[str]]
    """By question, a text a turn."""


@dataclass(frozen=True, slots=True)
class Assets:
    """The files that a benchmark is made of, by their names in `assets.toml`."""

    folder: Path | None = None
    """A folder of the user's that is looked at first (`--assets`)."""

    def path(self, name: str) -> Path:
        """Where a file lies on this machine; fetched and checked by its sha256.

        Raises:
            DataError: no place has it.
        """
        return assets.path(name, folder=self.folder)


@dataclass(frozen=True, kw_only=True, slots=True)
class Computing:
    """How a benchmark's own figures are computed, where there is a choice."""

    assets: Assets = field(default_factory=Assets)
    as_original: bool = False
    """As the original program computes them, its faults included."""
    length_control: Path | None = None
    """Data for length control of the user's own, instead of the benchmark's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """Files in which another program keeps answers and judgments."""

    name: str
    """As `--format` has it."""
    about: str
    """Which files these are."""
    read: Callable[[Sequence[Path], Path, str | None], Sequence[Path]]
    """`read(places, into, model)` makes an evaluation's folder in `into` for each model, or for that one."""
    write: Callable[[Sequence[Path], Path], Sequence[Path]]
    """`write(evaluations, to)` writes their files into a folder; which they are."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A benchmark that `align eval NAME` runs."""

    name: str
    summary: str
    """One line, for `align eval ls`."""
    questions: Callable[[Assets], Sequence[Question]]
    """All of them, in order; ids are unique."""
    asks: Callable[[Judging], Iterable[Ask]]
    """What a judge is to be sent, for answers that are there."""
    read: Callable[[Ask, str], Verdict]
    """A judge's reply, read. Never raises for any text."""
    read_reply: Callable[[Ask, Any], Verdict] | None = None
    """Where its words are not enough (the probabilities of tokens): the endpoint's JSON, read instead of them."""
    judge: str
    """The judge that published scores were made with; asked where no other is named."""
    scale: tuple[float, float] = (1.0, 10.0)
    """Lowest and highest score of an answer judged alone."""
    score: str = "score"
    """What a score is called."""
    modes: tuple[Mode, ...] = ("single",)
    references: tuple[str, ...] = ()
    """Sets of reference answers, the usual one first."""
    own_questions: Callable[[Path], Sequence[Question]] | None = None
    """Reads questions of the user's own from a file; None: only its own will do."""
    own_reference: Callable[[Path], Reference] | None = None
    """Reads reference answers of the user's own from a file; None: only its own sets will do."""
    addition: Callable[[Material, Computing], Addition] | None = None
    """What its report says beyond the mean scores."""
    formats: tuple[Format, ...] = ()
    """What `import` and `export` know, the usual one first."""
    same_questions: tuple[str, ...] = ()
    """Benchmarks that ask the same: a model's answers to them are its answers to this one."""
    files: tuple[str, ...] = ()
    """Names in `assets.toml` of what its questions come from; their digests are kept with the answers."""
