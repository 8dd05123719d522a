"""A battle: two models' answers to the same words, and which of them a person found better."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from align_cli.errors import DataError, Problem
from align_cli.evals.arena.style import Style
from align_cli.files import write_bytes

Winner = Literal["model_a", "model_b", "tie", "both_bad"]
WINNERS: tuple[Winner, ...] = get_args(Winner)

#: Role and content of what was said.
Turns = tuple[Mapping[str, str], ...]

_MOST_PROBLEMS = 20  # of one file that are listed
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Battle:
    """One vote. Model A's answer stood on the left, or first."""

    id: str
    """Unique among all battles."""
    item: str = ""
    """The question or prompt, the same for everybody who was shown it; empty where a person typed it."""
    model_a: str
    model_b: str
    winner: Winner
    rater: str = ""
    tstamp: float = 0.0
    """Of the vote; seconds since 1970."""
    seconds: float | None = None
    """From both answers being there to the vote."""
    num_turns: int = 1
    """Of the person's."""
    turns_a: Turns = ()
    """What was said with model A, the person's words and its own; empty where a log holds votes only."""
    turns_b: Turns = ()
    category: str = ""
    language: str = ""
    style_a: Style | None = None
    """As a log counted it, where it did; otherwise it is counted from the turns."""
    style_b: Style | None = None

    @property
    def is_tie(self) -> bool:
        """Whether neither was found better."""
        return self.winner in ("tie", "both_bad")

    @property
    def score_a(self) -> float:
        """1 where A won, 0 where B did, else ½."""
        return {"model_a": 1.0, "model_b": 0.0}.get(self.winner, 0.5)


def record_of(battle: Battle) -> dict[str, Any]:
    """The battle as a JSON object: every field but empty optional ones."""
    made: dict[str, Any] = {
        "id": battle.id,
        "item": battle.item,
        "model_a": battle.model_a,
        "model_b": battle.model_b,
        "winner": battle.winner,
        "rater": battle.rater,
        "tstamp": battle.tstamp,
        "seconds": battle.seconds,
        "num_turns": battle.num_turns,
        "turns_a": [dict(turn) for turn in battle.turns_a],
        "turns_b": [dict(turn) for turn in battle.turns_b],
        "category": battle.category,
        "language": battle.language,
    }
    for name, style in (("style_a", battle.style_a), ("style_b", battle.style_b)):
        if style is not None:
            made[name] = style._asdict()
    return made


def battle_of(record: Mapping[str, Any]) -> Battle:
    """The battle that `record_of` wrote.

    Raises:
        ValueError: it is none; the message says why.
    """
    return Battle(
        id=text_of(record, "id"),
        item=text_of(record, "item", ""),
        model_a=text_of(record, "model_a"),
        model_b=text_of(record, "model_b"),
        winner=_winner(record),
        rater=text_of(record, "rater", ""),
        tstamp=number_of(record, "tstamp", 0.0) or 0.0,
        seconds=number_of(record, "seconds", None),
        num_turns=int(number_of(record, "num_turns", 1) or 1),
        turns_a=turns_of(record, "turns_a"),
        turns_b=turns_of(record, "turns_b"),
        category=text_of(record, "category", ""),
        language=text_of(record, "language", ""),
        style_a=_style(record, "style_a"),
        style_b=_style(record, "style_b"),
    )


def read(path: Path) -> list[Battle]:
    """The battles of a file of JSON lines that `write` made.

    Raises:
        DataError: it cannot be read, or lines of it are no battles; all of them are named.
    """
    found: dict[str, Battle] = {}
    problems: list[Problem] = []
    for number, row in rows(path):
        try:
            battle = battle_of(row)
            if battle.id in found and found[battle.id] != battle:
                raise ValueError(f'another battle with the id "{battle.id}" stands above it')
            found[battle.id] = battle
        except ValueError as cause:
            problems.append(Problem(str(cause), f"{path}:{number}"))
    demand_none(problems, path)
    return list(found.values())


def write(path: Path, battles: Iterable[Battle]) -> None:
    """Write battles as JSON lines; a reader sees the old file or the whole new one."""
    write_bytes(path, "".join(f"{line_of(record_of(battle))}\n" for battle in battles).encode())


def line_of(record: Mapping[str, Any]) -> str:
    """One line of JSON that any UTF-8 file can hold: half a pair of surrogates is escaped."""
    text = json.dumps(record, ensure_ascii=False)
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file of JSON lines, each with its line's number.

    Raises:
        DataError: the file cannot be read, or a line holds no object.
    """
    try:
        content = path.read_bytes()
    except OSError as cause:
        raise DataError(f"{path}: it cannot be read: {cause.strerror or cause}") from None
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as cause:
            raise DataError(f"{path}:{number}: this line is no JSON: {cause}") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: this line is no JSON object")
        yield number, row


def demand_none(problems: list[Problem], path: Path) -> None:
    """Raise where there are problems.

    Raises:
        DataError: with the first of them.
    """
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        said = f"{len(problems):,} lines are no battles" if len(problems) > 1 else "a line is no battle"
        hint = f"{more:,} more are like these" if more > 0 else ""
        raise DataError(f"{path}: {said}", problems=problems[:_MOST_PROBLEMS], hint=hint)


def text_of(row: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """A text of a row; a number counts as one, for ids.

    Raises:
        ValueError: there is none and there is no default.
    """
    value = row.get(key)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or (default is None and value == ""):
        raise ValueError(f'"{key}" is {value!r:.60}, no text' if key in row else f'there is no "{key}"')
    return str(value)


def number_of(row: Mapping[str, Any], key: str, default: float | None) -> float | None:
    """A number of a row.

    Raises:
        ValueError: what is there is none.
    """
    value = row.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value or abs(value) == float("inf"):
        raise ValueError(f'"{key}" is {value!r:.60}, no number')
    return float(value)


def turns_of(row: Mapping[str, Any], key: str) -> Turns:
    """What was said, of a row.

    Raises:
        ValueError: it is no list of roles and contents.
    """
    value = row.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ValueError(f'"{key}" is no list of turns')
    made = []
    for turn in value:
        if not isinstance(turn, Mapping) or not isinstance(turn.get("role"), str):
            raise ValueError(f'"{key}" has a turn without a "role"')
        content = turn.get("content")
        if not isinstance(content, str):
            raise ValueError(f'"{key}" has a turn whose "content" is no text')
        made.append({"role": turn["role"], "content": content})
    return tuple(made)


def _winner(record: Mapping[str, Any]) -> Winner:
    value = record.get("winner")
    for winner in WINNERS:
        if value == winner:
            return winner
    raise ValueError(f'"winner" is {value!r:.60}; it is one of {", ".join(WINNERS)}')


def _style(record: Mapping[str, Any], key: str) -> Style | None:
    value = record.get(key)
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValueError(f'"{key}" is no object of counts')
    return Style(*(number_of(value, name, 0.0) or 0.0 for name in Style._fields))
