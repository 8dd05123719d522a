r"""A conversation at the terminal: what was said, the commands that begin with a slash, and how lines are read.

It knows nothing of models: one or two speakers answer, a display shows. A line that is only `\"\"\"` begins a text of
several lines, which ends at the next such line.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from align_cli.errors import AlignError, UsageError
from align_cli.registry import suggest

COMMANDS = {
    "/help": "list these commands",
    "/reset": "begin a new conversation",
    "/system TEXT": "set the system prompt; without TEXT show it, with none take it away",
    "/undo": "take back the last question and its answers",
    "/save FILE": "write the conversation to FILE, a line of messages for each model",
    "/exit": "leave (so does Ctrl-D)",
}
_FENCE = '"""'


class Reply(Protocol):
    """What a speaker gives; see `models.conversing.Reply`."""

    @property
    def text(self) -> str:
        """The answer."""

    @property
    def stopped(self) -> str:
        """`end`, `length` or `interrupted`."""


class Speaker(Protocol):
    """Who answers; see `models.conversing.Speaker`."""

    def answer(
        self, messages: Any, *, on_text: Callable[[str], None] = ..., is_stopped: Callable[[], bool] = ...
    ) -> Reply:
        """Answer the conversation so far."""

    def forget(self) -> None:
        """Begin anew."""


class Display(Protocol):
    """Where a conversation is seen; see `render.chatting`."""

    def say(self, line: str) -> None:
        """A sentence of ours."""

    def problem(self, error: AlignError) -> None:
        """What went wrong, and what to do."""

    def answering(self) -> AbstractContextManager[Callable[[int, str], None]]:
        """For one question: a way to show what speaker number n says, as it says it."""

    def stopped(self, number: int, reply: Reply) -> None:
        """How the answer of speaker number n ended, where that is worth a word."""


@dataclass
class Session:
    """The conversation of each speaker, and what is to be done with a line."""

    names: Sequence[str]
    speakers: Sequence[Speaker]
    display: Display
    systems: list[str | None]
    """Each speaker's system prompt: that of its own training data, until one is chosen for all."""
    turns: list[list[dict[str, str]]] = field(default_factory=list)
    """One list for each speaker: user and assistant by turns."""
    defaults: Sequence[str | None] = ()
    """What each speaker's template says where there is no system prompt."""

    def __post_init__(self) -> None:
        self.turns = [[] for _ in self.speakers]
        self.defaults = self.defaults or [None] * len(self.speakers)

    def messages(self, number: int) -> list[dict[str, str]]:
        """What speaker `number` is given: the system prompt, then its own conversation."""
        return [*system_turn(self.systems[number]), *self.turns[number]]

    def ask(self, question: str) -> list[Reply | None]:
        """Let every speaker answer. Ctrl-C ends an answer and keeps what was said; twice in a row throws it away."""
        with listening() as stop, self.display.answering() as show:
            replies = [self._one(number, question, stop, show) for number in range(len(self.speakers))]
        for number, reply in enumerate(replies):
            if reply is not None:
                self.display.stopped(number, reply)
        return replies

    def run(self, line: str) -> bool:
        """Do what a line asks for; False when it says to leave."""
        if line.startswith("//"):
            self.ask(line[1:])
        elif line.startswith("/"):
            word, _, rest = line.partition(" ")
            return self._command(word, rest.strip())
        elif line.strip():
            self.ask(line)
        return True

    def _one(self, number: int, question: str, stop: Stop, show: Callable[[int, str], None]) -> Reply | None:
        if stop.asked:
            return None
        own = self.turns[number]
        own.append({"role": "user", "content": question})
        try:
            reply = self.speakers[number].answer(
                self.messages(number), on_text=lambda text: show(number, text), is_stopped=lambda: stop.asked
            )
        except KeyboardInterrupt:
            own.pop()
            self.display.say("the answer was thrown away")
            return None
        except AlignError as error:
            own.pop()
            self.display.problem(error)
            return None
        own.append({"role": "assistant", "content": reply.text})
        return reply

    def _command(self, word: str, rest: str) -> bool:
        if word in ("/exit", "/quit"):
            return False
        known: dict[str, Callable[[str], None]] = {
            "/help": lambda rest: self._help(),
            "/reset": lambda rest: self._reset(),
            "/system": self._system,
            "/undo": lambda rest: self._undo(),
            "/save": self._save,
        }
        try:
            if word not in known:
                raise UsageError(f"there is no command {word}", hint=suggest(word, [*known, "/exit"]))
            known[word](rest)
        except AlignError as error:
            self.display.problem(error)
        return True

    def _help(self) -> None:
        width = max(map(len, COMMANDS))
        for command, what in COMMANDS.items():
            self.display.say(f"{command:<{width}}  {what}")
        self.display.say(
            f"{_FENCE:<{width}}  begin and end a text of several lines; //TEXT says a text that begins with /"
        )

    def _reset(self) -> None:
        self.turns = [[] for _ in self.speakers]
        for speaker in self.speakers:
            speaker.forget()
        self.display.say("a new conversation")

    def _system(self, rest: str) -> None:
        if rest:
            self.systems = [chosen(rest)] * len(self.speakers)
        differ = len(set(zip(self.systems, self.defaults, strict=True))) > 1
        for name, system, default in zip(self.names, self.systems, self.defaults, strict=True):
            whose = f" of {name}" if differ else ""
            self.display.say(f"system prompt{whose}: {in_force(system, default)}")
            if rest and system is None and default is not None:
                self.display.say(cannot_remove(default))
            if not differ:
                return

    def _undo(self) -> None:
        if not any(self.turns):
            raise UsageError("nothing was said yet")
        longest = max(len(own) for own in self.turns)
        for own in self.turns:
            if len(own) == longest:
                del own[-2:]
        self.display.say(f"taken back; {longest // 2 - 1} left")

    def _save(self, rest: str) -> None:
        import json

        from align_cli.files import write_text

        if not rest:
            raise UsageError("/save needs a file", hint="/save chat.jsonl")
        place = Path(rest).expanduser()
        if place.exists():
            raise UsageError(f"{place} exists", hint="name a new file")
        rows = [{"messages": self.messages(number), "model": name} for number, name in enumerate(self.names)]
        try:
            write_text(place, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        except OSError as cause:
            raise UsageError(f"{place} cannot be written: {cause.strerror or cause}") from cause
        self.display.say(f"saved to {place}")


def chosen(system: str) -> str | None:
    """A system prompt as somebody typed it; the word none takes it away."""
    return None if system == "none" else system


def in_force(system: str | None, default: str | None) -> str:
    """What the model is told first: the system prompt, else what its template says by itself."""
    if system is not None:
        return system
    return "none" if default is None else f'the template\'s own: "{default}"'


def cannot_remove(default: str) -> str:
    """Why `none` leaves a system prompt."""
    return f'the chat template puts its own system text where there is none: "{default}"; --system "" makes it empty'


def system_turn(system: str | None) -> list[dict[str, str]]:
    """The turn that a conversation begins with, if there is a system prompt."""
    return [] if system is None else [{"role": "system", "content": system}]


@dataclass
class Stop:
    """Whether somebody pressed Ctrl-C while a model answers."""

    asked: bool = False

    def ask(self, number: int, frame: FrameType | None) -> None:
        """The signal handler; the second time in one answer it raises."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@contextmanager
def listening() -> Iterator[Stop]:
    """Take Ctrl-C as a wish to end the answer, for the length of the block."""
    stop = Stop()
    before = signal.signal(signal.SIGINT, stop.ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def lines(prompt: str) -> Iterator[str | None]:
    """What a person types, line by line; None for Ctrl-C at the prompt; ends at Ctrl-D.

    With the editing and history of readline, where Python has it.
    """
    with suppress(ImportError):
        import readline

        readline.set_completer(_completed)
        readline.parse_and_bind("tab: complete")
        readline.set_completer_delims(" ")
    while True:
        try:
            line = input(prompt)
            if line.strip() == _FENCE:
                line = _fenced()
        except KeyboardInterrupt:
            yield None
            continue
        except EOFError:
            return
        except UnicodeDecodeError:
            line = ""
        yield line


def _fenced() -> str:
    found: list[str] = []
    while True:
        line = input("… ")
        if line.strip() == _FENCE:
            return "\n".join(found)
        found.append(line)


def _completed(text: str, state: int) -> str | None:
    words = [command.split()[0] for command in COMMANDS if command.startswith(text)] if text.startswith("/") else []
    return words[state] if state < len(words) else None
