"""Battle logs of other programs: Chatbot Arena's rows in JSON, JSON lines or Parquet, and tables in CSV."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from align_cli.errors import DataError, Problem
from align_cli.evals.arena import battles as own
from align_cli.evals.arena.battles import Battle, Turns, Winner, number_of, text_of
from align_cli.evals.arena.style import Style
from align_cli.files import write_bytes

SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")
NAMED = "the models' names were shown before the vote"
SELF = "a model against itself"

_WINNERS: dict[str, Winner] = {
    "model_a": "model_a",
    "left": "model_a",
    "a": "model_a",
    "model_b": "model_b",
    "right": "model_b",
    "b": "model_b",
    "tie": "tie",
    "draw": "tie",
    "both_bad": "both_bad",
    "bothbad": "both_bad",
    "tie (bothbad)": "both_bad",
}
#: What others call the same, the first that a row has is taken.
_NAMES = {
    "model_a": ("model_a", "left"),
    "model_b": ("model_b", "right"),
    "rater": ("judge", "judge_hash", "rater", "worker", "evaluation_session_id"),
    "item": ("question_id", "item", "prompt"),
}
#: FastChat's names for an answer's style: these, then _a or _b.
_STYLE = ("sum_assistant{}_tokens", "header_count{}", "list_count{}", "bold_count{}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Log:
    """What a file holds."""

    battles: Sequence[Battle]
    left_out: Mapping[str, int]
    """Rows that are no blind comparison of two models, by reason."""


def read(path: Path) -> Log:
    """The battles of a file, align's own or another program's; which of them, its rows tell.

    Raises:
        DataError: it cannot be read, or rows of it are no battles; the first of them are named.
    """
    found: dict[str, Battle] = {}
    left_out: Counter[str] = Counter()
    problems: list[Problem] = []
    for place, row in _rows(path):
        try:
            if reason := _reason(row):
                left_out[reason] += 1
                continue
            battle = own.battle_of(row) if _is_own(row) else _battle(row, f"{path.stem}:{place}")
        except ValueError as cause:
            problems.append(Problem(str(cause), f"{path}:{place}"))
            continue
        if _is_own(row) and found.get(battle.id) == battle:
            continue
        found[battle.id if battle.id not in found else f"{battle.id}~{place}"] = battle
    own.demand_none(problems, path)
    made = [battle if battle.id == name else replace(battle, id=name) for name, battle in found.items()]
    return Log(battles=made, left_out=dict(left_out))


def write(path: Path, battles: Iterable[Battle]) -> None:
    """Write Chatbot Arena's rows: JSON lines, or for a name that ends in .json one list, which FastChat reads."""
    rows = [row_of(battle) for battle in battles]
    if path.suffix.lower() == ".json":
        text = "[\n" + ",\n".join(own.line_of(row) for row in rows) + "\n]\n"
    else:
        text = "".join(f"{own.line_of(row)}\n" for row in rows)
    write_bytes(path, text.encode())


def row_of(battle: Battle) -> dict[str, Any]:
    """A battle as a row of `clean_battle_….json`."""
    row: dict[str, Any] = {
        "question_id": battle.item or battle.id,
        "model_a": battle.model_a,
        "model_b": battle.model_b,
        "winner": "tie (bothbad)" if battle.winner == "both_bad" else battle.winner,
        "judge": battle.rater,
        "conversation_a": [dict(turn) for turn in battle.turns_a],
        "conversation_b": [dict(turn) for turn in battle.turns_b],
        "turn": battle.num_turns,
        "anony": True,
        "language": battle.language,
        "tstamp": battle.tstamp,
        "battle_id": battle.id,
    }
    if battle.style_a is not None and battle.style_b is not None:
        row["conv_metadata"] = {
            name.format(f"_{side}"): int(count)
            for side, style in (("a", battle.style_a), ("b", battle.style_b))
            for name, count in zip(_STYLE, style, strict=True)
        }
    return row


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row with its line, or its number where there are no lines."""
    kind = path.suffix.lower()
    if kind == ".parquet":
        yield from _parquet(path)
        return
    if kind == ".csv":
        yield from _csv(path)
        return
    if kind == ".json":
        yield from _json(path)
        return
    yield from own.rows(path)


def _json(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        rows = json.loads(path.read_bytes())
    except OSError as cause:
        raise DataError(f"{path}: it cannot be read: {cause.strerror or cause}") from None
    except ValueError as cause:
        raise DataError(
            f"{path}: this is no JSON: {cause}", hint="JSON lines need a name that ends in .jsonl"
        ) from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path}: this is no list of battles")
    yield from enumerate(rows, start=1)


def _csv(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as cause:
        raise DataError(f"{path}: it cannot be read: {cause.strerror or cause}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: this is no text in UTF-8") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    columns = set(reader.fieldnames or ())
    for one in ("model_a", "model_b"):
        if not columns & set(_NAMES[one]):
            raise DataError(
                f"{path}: it has no column {' or '.join(_NAMES[one])}",
                hint="a table of battles has left, right, winner; or model_a, model_b, winner",
            )
    for row in reader:
        # An id of a table names what was compared, not the vote: several rows share it.
        yield reader.line_num, {name: value for name, value in row.items() if value not in (None, "") and name != "id"}


def _parquet(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        number = 0
        for batch in file.iter_batches(batch_size=1000):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (OSError, pyarrow.ArrowException) as cause:
        raise DataError(f"{path}: it cannot be read: {str(cause).splitlines()[0]}") from None


def _is_own(row: Mapping[str, Any]) -> bool:
    return "turns_a" in row and "item" in row


def _reason(row: Mapping[str, Any]) -> str:
    """Why a row is left out; empty for a battle."""
    if row.get("anony") is False:
        return NAMED
    names = [_first(row, "model_a"), _first(row, "model_b")]
    return SELF if names[0] is not None and names[0] == names[1] else ""


def _battle(row: Mapping[str, Any], name: str) -> Battle:
    """A battle of another program's row; `name` is its id where it brings none.

    Raises:
        ValueError: it is none; the message says why.
    """
    models = {key: _first(row, key) for key in ("model_a", "model_b")}
    item = text_of({"item": _first(row, "item")}, "item", "")
    turn = int(number_of(row, "turn", 1) or 1)
    given = row.get("battle_id", row.get("question_id"))
    if "battle_id" in row:  # our own export, which names a battle for want of a question
        item = "" if item == row["battle_id"] else item
    elif item and turn > 1:  # MT-Bench's votes of people have a question twice: on its first turn, and on both
        item = f"{item}#{turn}"
    return Battle(
        id=name if given is None or isinstance(given, float) else str(given),
        item=item,
        model_a=text_of(models, "model_a"),
        model_b=text_of(models, "model_b"),
        winner=_winner(row),
        rater=text_of({"rater": _first(row, "rater")}, "rater", ""),
        tstamp=number_of(row, "tstamp", 0.0) or 0.0,
        num_turns=turn,
        turns_a=_turns(row, "conversation_a"),
        turns_b=_turns(row, "conversation_b"),
        language=text_of(row, "language", ""),
        style_a=_style(row, "_a"),
        style_b=_style(row, "_b"),
    )


def _first(row: Mapping[str, Any], key: str) -> Any:
    return next((row[name] for name in _NAMES[key] if row.get(name) is not None), None)


def _winner(row: Mapping[str, Any]) -> Winner:
    value = row.get("winner")
    found = _WINNERS.get(value.strip().casefold()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f'"winner" is {value!r:.60}; it is one of {", ".join(_WINNERS)}')
    return found


def _turns(row: Mapping[str, Any], key: str) -> Turns:
    """A conversation, where the content may come in pieces, some of which are pictures."""
    value = row.get(key)
    if not isinstance(value, list):
        return ()
    turns = [{**turn, "content": _text(turn.get("content"))} for turn in value if isinstance(turn, Mapping)]
    return own.turns_of({key: turns}, key)


def _text(content: Any) -> str:
    if isinstance(content, list):
        pieces = [piece.get("text") if isinstance(piece, Mapping) else piece for piece in content]
        return "\n".join(piece for piece in pieces if isinstance(piece, str))
    return content if isinstance(content, str) else ""


def _style(row: Mapping[str, Any], side: str) -> Style | None:
    counts = row.get("conv_metadata")
    if not isinstance(counts, Mapping) or _STYLE[0].format(side) not in counts:
        return None
    found = [counts.get(name.format(side)) for name in _STYLE]
    return Style(*(_total(value) for value in found))


def _total(value: Any) -> float:
    """A count, which may come by kind: so many h1, so many h2."""
    if isinstance(value, Mapping):
        return float(sum(one for one in value.values() if isinstance(one, (int, float))))
    return float(value) if isinstance(value, (int, float)) else 0.0
