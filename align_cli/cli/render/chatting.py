"""A conversation as it is seen: answers as they come, two models in two columns where there is room for them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from align_cli.cli.errors import as_text, without_secrets
from align_cli.cli.models.chat_session import in_force
from align_cli.cli.render.page import count, emit, pairs
from align_cli.cli.signs import one_line, visible
from align_cli.cli.text import columns, has_colour, is_terminal, style
from align_cli.errors import AlignError

_TWO_COLUMNS = 80  # columns of a terminal from which two answers stand beside each other
_FRAMES = 8  # redraws per second
_LONGEST = 200  # characters of a system prompt in the introduction
Show = Callable[[int, str], None]


def conversation(result: TextIO, talk: TextIO, names: Sequence[str], *, is_quiet: bool = False) -> Conversation:
    """Answers go to `result`, everything else to `talk`; `is_quiet` shows no answers, for who prints them otherwise."""
    return Conversation(result, talk, names, is_quiet=is_quiet)


class Conversation:
    """The display of `cli.chat_session`."""

    def __init__(self, result: TextIO, talk: TextIO, names: Sequence[str], *, is_quiet: bool) -> None:
        self._result, self._talk, self._names, self._is_quiet = result, talk, names, is_quiet

    def introduce(self, models: Sequence[Mapping[str, Any]], sampling: Any) -> None:
        """Who answers, and with which template and system prompt."""
        rows: list[tuple[str, str | Text]] = []
        for one in models:
            parts = " + ".join([one["base"], *one["adapters"]])
            of = f" (the model {parts})" if one["adapters"] else ""
            rows.append(("model", f"{one['model']}{of}, {one['dtype']} on {one['device']}"))
            ends = ", ".join(one_line(token) for token in one["end_tokens"])
            empty = "; an empty system turn is put first where there is none" if one["inserts_empty_system"] else ""
            rows.append(("template", f"{one['template']}, an answer ends with {ends}{empty}"))
            if one["note"]:
                rows.append(("", Text(one["note"], style="yellow")))
            rows.append(("system", one_line(in_force(one["system"], one["template_system"]), _LONGEST)))
        how = "greedy" if sampling.is_greedy else f"temperature {sampling.temperature:g}, top-p {sampling.top_p:g}"
        rows.append(("answers", f"{how}, at most {sampling.max_new_tokens:,} tokens"))
        emit(self._talk, pairs(rows), Text("/help lists the commands, Ctrl-C ends an answer, Ctrl-D leaves", "dim"))

    def say(self, line: str) -> None:
        """A sentence of ours."""
        self._talk.write(style(without_secrets(visible(line)), "dim", self._talk) + "\n")
        self._talk.flush()

    def problem(self, error: AlignError) -> None:
        """What went wrong, and what to do."""
        self._talk.write(without_secrets(as_text(error, self._talk)))
        self._talk.flush()

    def stopped(self, number: int, reply: Any) -> None:
        """A word about answers that did not end by themselves."""
        who = f"{self._names[number]}: " if len(self._names) > 1 else ""
        if reply.stopped == "length":
            self.say(f"({who}cut off after {count(reply.new_tokens, 'token')}: --max-new-tokens allows more)")
        elif reply.stopped == "interrupted":
            self.say(f"({who}stopped)")

    @contextmanager
    def answering(self) -> Iterator[Show]:
        """Show the answers to one question while they come."""
        if self._is_quiet:
            yield lambda number, text: None
        elif len(self._names) == 1:
            yield from self._streamed()
        elif is_terminal(self._result) and has_colour(self._result) and columns(self._result) >= _TWO_COLUMNS:
            yield from self._in_columns()
        else:
            yield from self._one_after_the_other()

    def _streamed(self) -> Iterator[Show]:
        try:
            yield lambda number, text: self._write(text)
        finally:
            self._write("\n")

    def _one_after_the_other(self) -> Iterator[Show]:
        current: list[int] = []

        def show(number: int, text: str) -> None:
            if current[-1:] != [number]:
                self._write("\n\n" if current else "")
                self._write(f"[{self._names[number]}]\n")
                current.append(number)
            self._write(text)

        try:
            yield show
        finally:
            self._write("\n")

    def _in_columns(self) -> Iterator[Show]:
        """While they come, the end of each answer that fits on the screen; then both in full."""
        said = ["" for _ in self._names]
        console = Console(file=self._result, highlight=False, emoji=False, width=columns(self._result))
        try:
            with Live(console=console, transient=True, refresh_per_second=_FRAMES, auto_refresh=True) as live:
                room = max(console.height - 3, 3)

                def show(number: int, text: str) -> None:
                    said[number] += text
                    live.update(self._beside([_last_lines(one, room, console.width // 2 - 2) for one in said]))

                yield show
        finally:
            console.print(self._beside(said))

    def _beside(self, said: Sequence[str]) -> Table:
        table = Table(box=None, expand=True, padding=(0, 2, 0, 0), header_style="bold")
        for name in self._names:
            table.add_column(Text(one_line(name)), ratio=1, overflow="fold")
        table.add_row(*(Text(without_secrets(visible(one.strip()))) for one in said))
        return table

    def _write(self, text: str) -> None:
        self._result.write(visible(text))
        self._result.flush()


def _last_lines(text: str, most: int, width: int) -> str:
    """The end of a text that fits into so many lines."""
    folded: list[str] = []
    for line in text.splitlines() or [""]:
        folded += textwrap.wrap(line, width) or [""]
    return "\n".join(folded[-most:])
