"""AlpacaEval 2's length-controlled win rate: what it would be if answers were as long as the reference's.

Dubois, Galambosi, Liang & Hashimoto 2024 (arXiv 2404.04475), with the numbers of alpaca_eval 0.6.6.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from align_cli.errors import DataError, Problem
from align_cli.evals.alpacaeval.logistic import FOLDS, Sample, choose_c, fit, probabilities, solver_seeds
from align_cli.evals.alpacaeval.winrates import win_rates

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

#: `v1` is the leaderboard's; `noreg` is v1 without the gamed rows; `minimal` knows no difficulty either, and so fits
#: any instructions and any reference.
Form = Literal["v1", "noreg", "minimal"]

#: λ = 0.2, halved because there are two gamed models.
GAMED_WEIGHT = 0.2 / 2
_COLUMNS = ("preference", "index", "std_delta_len", "instruction_difficulty", "not_gamed_baseline")
_SHOWN = 5  # problems of a damaged file


class Row(NamedTuple):
    """A verdict on one instruction."""

    instruction: str
    preference: float | None
    """0 where the reference's answer is better, 1 the model's; None without verdict."""
    length: int
    """Of the model's answer, in characters."""
    reference_length: int
    """Of the reference's."""


class Gamed(NamedTuple):
    """A verdict on the reference model when asked to be brief or wordy: it holds the other terms in place."""

    position: int
    """Of the instruction in the evaluation set, from 0."""
    preference: float | None
    delta: float
    """How much longer the reference's answer is, in standard deviations."""
    difficulty: float
    """Of the instruction, in logits."""
    is_gamed: bool = True


class Coefficients(NamedTuple):
    """Logits in favour of the model."""

    length: float
    """For tanh of how much longer the reference's answer is."""
    difficulty: float | None
    """For one unit of it; None in the minimal form."""
    bias: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LengthControlled:
    """A length-controlled win rate and the model that it is read from."""

    win_rate: float
    """Percent."""
    standard_error: float | None
    """Percent: how predictions vary over instructions, not how sure the model is. None for a single row, and in the
    minimal form, which predicts the same for all of them.
    """
    C: float
    """The inverse strength of the penalty."""
    coefficients: Coefficients
    predictions: tuple[float | None, ...]
    """Of the model's answer being preferred, a row each; None for rows that were left out."""
    num_left_out: int
    """Rows whose instruction is not in the evaluation set."""
    is_extreme: bool
    """The win rate is so far from the plain one that the regression may have failed (alpaca_eval's warning)."""


def length_controlled(
    rows: Sequence[Row],
    *,
    form: Form = "v1",
    gamed: Sequence[Gamed] = (),
    positions: Mapping[str, int] | None = None,
    by_row_position: bool = False,
    C: float | None = None,  # noqa: N803 - the field's letter
) -> LengthControlled:
    r"""The mean of $\sigma(\beta_d d_i + \beta_b)$, in percent, over rows with or without verdict.

    The $\beta$ are those of $P(\text{model preferred}) = \sigma(\beta_l \tanh(\Delta_i / s) + \beta_d d_i + \beta_b)$:
    $\Delta$ is the reference's length less the model's, $s$ the standard deviation of it over rows, $d$ the
    instruction's difficulty. Gamed rows have no bias and weigh 0.1. `C` is chosen by cross-validation unless given.

    `positions` says where in the evaluation set an instruction stands; its difficulty is looked up there. alpaca_eval
    takes the row's own number instead, so that one missing row shifts the difficulty of all that follow;
    `by_row_position` does as it does.

    Raises:
        DataError: no row is left; there is no verdict, or without gamed rows fewer than folds; or an instruction has no
            difficulty.
    """
    import numpy as np

    places = [None] * len(rows) if form == "minimal" else _places(rows, positions or {}, by_row_position)
    kept = [number for number in range(len(rows)) if form == "minimal" or places[number] is not None]
    if not kept:
        raise DataError("no answer is to one of the benchmark's instructions, so its length cannot be controlled for")
    features = _features([rows[number] for number in kept], _difficulty([places[number] for number in kept], gamed))
    if form == "minimal":
        features = features[:, [0, 2]]
    preferences = [rows[number].preference for number in kept]
    num_verdicts = sum(one is not None for one in preferences)
    needed = FOLDS if form != "v1" and C is None else 1
    if num_verdicts < needed:
        raise DataError(
            f"{num_verdicts} verdicts are too few to control for length: it needs {needed} or more",
            hint="see the plain win rate instead",
        )
    sample = _sample(features, preferences, gamed if form == "v1" else ())
    chosen = choose_c(sample) if C is None else C
    found = fit(sample, C=chosen, seed=solver_seeds(1)[0]).coefficients
    level = features.copy()
    level[:, 0] = 0.0
    said = probabilities(level, found)
    rate = 100 * float(np.mean(said))
    predictions: list[float | None] = [None] * len(rows)
    for number, one in zip(kept, said.tolist(), strict=True):
        predictions[number] = one
    return LengthControlled(
        win_rate=rate,
        standard_error=None if form == "minimal" or len(said) < 2 else _standard_error(said),
        C=chosen,
        coefficients=Coefficients(found[0], found[1] if len(found) == 3 else None, found[-1]),
        predictions=tuple(predictions),
        num_left_out=len(rows) - len(kept),
        is_extreme=is_extreme(win_rates(preferences).win_rate, rate),
    )


def is_extreme(plain: float | None, controlled: float) -> bool:
    """Whether they differ by more than 10 points and a quarter of the way from the plain one to 0 or to 100.

    >>> is_extreme(80, 61), is_extreme(80, 59), is_extreme(20, 9), is_extreme(20, 41)
    (False, True, True, True)
    """
    if plain is None:
        return False
    return not plain - max(plain / 4, 10) <= controlled <= plain + max((100 - plain) / 4, 10)


def difficulties(gamed: Sequence[Gamed]) -> dict[int, float]:
    """Each instruction's difficulty, by position in the evaluation set; the first row of several counts."""
    found: dict[int, float] = {}
    for one in gamed:
        found.setdefault(one.position, one.difficulty)
    return found


def read_gamed(path: Path) -> list[Gamed]:
    """AlpacaEval's `df_gamed.csv`.

    Raises:
        DataError: it cannot be read, lacks a column, or holds damaged rows; the first of them are named by line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as cause:
        raise DataError(f"{path}: it cannot be read: {cause.strerror or cause}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: this is no text in UTF-8") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    found: list[Gamed] = []
    problems: list[Problem] = []
    try:
        if missing := [name for name in _COLUMNS if name not in (reader.fieldnames or ())]:
            raise DataError(f"{path}:1: it has no column {', '.join(missing)}", hint="AlpacaEval's df_gamed.csv has")
        for row in reader:
            try:
                found.append(_gamed(row))
            except ValueError as cause:
                problems.append(Problem(str(cause), f"{path}:{reader.line_num}"))
    except csv.Error as cause:
        raise DataError(f"{path}:{reader.line_num + 1}: this is no CSV: {cause}") from None
    if problems:
        raise DataError(
            problems[0].placed if len(problems) == 1 else f"{path}: {len(problems)} rows are damaged",
            problems=problems[:_SHOWN],
            hint="fetch the file again",
        )
    if not found:
        raise DataError(f"{path}: it has no rows", hint="fetch the file again")
    return found


def _gamed(row: Mapping[str, Any]) -> Gamed:
    """One line; an empty preference is none.

    Raises:
        ValueError: it is damaged; the message says how.
    """
    preference = None if row["preference"] in ("", "nan", "NaN") else _number(row, "preference")
    if preference is not None and not 0 <= preference <= 1:
        raise ValueError(f"preference is {row['preference']}, and should be from 0 to 1")
    index = _number(row, "index")
    if index < 0 or index != int(index):
        raise ValueError(f"index is {row['index']}, and should be a position, 0 or more")
    if row["not_gamed_baseline"] not in ("True", "False"):
        raise ValueError(f"not_gamed_baseline is {row['not_gamed_baseline']!r}, and should be True or False")
    return Gamed(
        position=int(index),
        preference=preference,
        delta=_number(row, "std_delta_len"),
        difficulty=_number(row, "instruction_difficulty"),
        is_gamed=row["not_gamed_baseline"] == "False",
    )


def _number(row: Mapping[str, Any], name: str) -> float:
    try:
        value = float(row[name])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{name} is {'missing' if row[name] is None else repr(row[name])}, and should be a number")
    return value


def _places(rows: Sequence[Row], positions: Mapping[str, int], by_row_position: bool) -> list[int | None]:
    if by_row_position:
        return list(range(len(rows)))
    return [positions.get(row.instruction) for row in rows]


def _difficulty(places: Sequence[int | None], gamed: Sequence[Gamed]) -> list[float]:
    """Of each row; 0 where no position is known, as in the minimal form.

    Raises:
        DataError: a position has none.
    """
    known = difficulties(gamed)
    if missing := [place for place in places if place is not None and place not in known]:
        raise DataError(
            f"there is no difficulty of instruction {missing[0] + 1}"
            + (f" and {len(missing) - 1} others" if len(missing) > 1 else "")
            + f": df_gamed.csv knows {len(known)} instructions",
            hint="use the df_gamed.csv that belongs to these instructions, or the minimal form",
        )
    return [0.0 if place is None else known[place] for place in places]


def _standard_error(said: Array) -> float:
    """Of the mean; percent."""
    import numpy as np

    return 100 * float(np.std(said, ddof=1)) / math.sqrt(len(said))


def _features(rows: Sequence[Row], difficulty: Sequence[float]) -> Array:
    """(rows, 3): tanh of the lengths' difference over its standard deviation; difficulty; 1."""
    import numpy as np

    delta = np.array([row.reference_length - row.length for row in rows], dtype=np.float64)
    spread = float(np.std(delta, ddof=1)) if len(rows) > 1 else 0.0
    scaled = delta / spread if spread > 0 else np.zeros(len(rows))
    return np.column_stack([np.tanh(scaled), difficulty, np.ones(len(rows))])


def _sample(features: Array, preferences: Sequence[float | None], gamed: Sequence[Gamed]) -> Sample:
    """Gamed rows first, then the model's; those without verdict are left out, as nothing can be learnt from them."""
    import numpy as np

    both = [*(one.preference for one in gamed), *preferences]
    if gamed:
        held = np.array([(math.tanh(one.delta), one.difficulty, not one.is_gamed) for one in gamed], dtype=np.float64)
        features = np.concatenate([held, features])
    weight = np.array([GAMED_WEIGHT if one.is_gamed else 1.0 for one in gamed] + [1.0] * len(preferences))
    known = np.array([one is not None for one in both], dtype=bool)
    target = np.array([one for one in both if one is not None], dtype=np.float64)
    return Sample(features=features[known], target=target, weight=weight[known])
