"""Means over rows of several questions, and how far they would move with other questions of the same kind.

Rows of one question (its turns, its games) rise and fall together, and a benchmark has so many questions of each
category by design. So questions are drawn, not rows, and each category keeps its size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

ROUNDS = 10_000
LEVEL = 0.95
SEED = 0
FEWEST = 5
_AT_ONCE = 2_000_000  # draws made at a time, so that thousands of questions do not need gigabytes
_DIGITS = 6  # of what is written: beyond them another machine's sums may differ


class Row(NamedTuple):
    """One number that is averaged."""

    question: str
    category: str
    value: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and its interval."""

    value: float | None
    """None where there are no rows."""
    low: float | None
    high: float | None
    """95 %; None with it where there are fewer than `FEWEST` questions: they would say more than they know."""
    n: int
    """Rows."""
    num_questions: int

    @property
    def half_width(self) -> float | None:
        """Half the interval's width: what stands behind the ±; the interval need not be symmetric."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    def as_dict(self) -> dict[str, Any]:
        """For `report.json`; rounded to six digits after the point."""
        value, low, high = (None if one is None else round(one, _DIGITS) + 0.0 for one in self._numbers)
        return {"value": value, "low": low, "high": high, "n": self.n, "num_questions": self.num_questions}

    @property
    def _numbers(self) -> tuple[float | None, float | None, float | None]:
        return self.value, self.low, self.high


def mean(rows: Iterable[Row], *, rounds: int = ROUNDS, level: float = LEVEL, seed: int = SEED) -> Estimate:
    r"""The mean of all rows, with a bootstrap interval over questions within categories.

    With $s_q$ the sum and $c_q$ the number of question $q$'s rows, the mean is $\sum_q s_q / \sum_q c_q$: every row
    counts the same, as in FastChat's `show_result.py`. In each round $n_h - 1$ of the $n_h$ questions of every category
    $h$ are drawn with replacement; one that is drawn $w$ times counts $w\,n_h/(n_h-1)$ times in both sums. The interval
    lies between the $(1 \mp level)/2$ quantiles of the rounds' means (percentile method: Efron & Tibshirani 1993,
    ch. 13; whole questions: Davison & Hinkley 1997, sec. 3.8). Drawing $n_h - 1$ instead of $n_h$ makes the variance
    of the rounds $s_h^2/n_h$ with $s_h^2$ the unbiased one (McCarthy & Snowden 1985; Rao & Wu 1988): with ten questions
    a category the intervals would otherwise be 5 % too narrow.

    Categories of a single question are drawn from together. The draws depend on `seed` and on a category's name and
    size alone: the same rows, in any order, give the same interval on every machine.

    >>> mean([Row("81", "writing", 8.0), Row("81", "writing", 6.0), Row("82", "writing", 7.0)]).value
    7.0
    """
    questions = _by_question(rows)
    total = sum(one.total for one in questions.values())
    count = sum(one.num_rows for one in questions.values())
    if not count:
        return Estimate(None, None, None, 0, 0)
    low = high = None
    if len(questions) >= FEWEST:
        low, high = _interval(_strata(questions), rounds, level, seed)
    return Estimate(total / count, low, high, count, len(questions))


class _Question(NamedTuple):
    category: str
    total: float
    num_rows: int


def _by_question(rows: Iterable[Row]) -> dict[str, _Question]:
    """Sums in one order, whatever order the rows came in: floating point sums differ otherwise."""
    found: dict[str, _Question] = {}
    for question, category, value in sorted(rows):
        _, total, count = found.get(question, (category, 0.0, 0))
        found[question] = _Question(category, total + value, count + 1)
    return found


def _strata(questions: Mapping[str, _Question]) -> dict[str, list[_Question]]:
    """Questions by category; each has at least two."""
    found: dict[str, list[_Question]] = {}
    for question in questions.values():
        found.setdefault(question.category, []).append(question)
    alone = sorted(category for category, members in found.items() if len(members) == 1)
    if len(alone) == 1 and len(found) > 1:
        alone.append(min(category for category in found if category != alone[0]))
    if len(alone) > 1:
        found["\n".join(alone)] = [question for category in alone for question in found.pop(category)]
    return found


def _interval(strata: Mapping[str, Sequence[_Question]], rounds: int, level: float, seed: int) -> tuple[float, float]:
    import numpy as np

    both = np.zeros((rounds, 2))  # sums of values, numbers of rows
    for name, questions in sorted(strata.items()):
        drawn = _times_drawn(name, len(questions), rounds, seed)
        scale = len(questions) / (len(questions) - 1)
        seen = np.array([(question.total, question.num_rows) for question in questions])
        step = max(_AT_ONCE // len(questions), 1)
        for start in range(0, rounds, step):
            both[start : start + step] += scale * (drawn[start : start + step].astype(np.float64) @ seen)
    low, high = np.quantile(both[:, 0] / both[:, 1], ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


@lru_cache(maxsize=64)
def _times_drawn(name: str, size: int, rounds: int, seed: int) -> np.ndarray[Any, Any]:
    """How often each of `size` questions is drawn: (rounds, size) uint16, rows sum to `size` - 1."""
    import numpy as np

    words = np.frombuffer(hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogatepass")).digest(), dtype="<u4")
    # Not default_rng: NumPy keeps RandomState's stream for good, and may change the other's with any release (NEP 19).
    random = np.random.RandomState(words)
    made = np.empty((rounds, size), dtype=np.uint16)
    step = max(_AT_ONCE // size, 1)
    for start in range(0, rounds, step):
        some = min(step, rounds - start)
        places = random.randint(0, size, size=(some, size - 1)) + np.arange(some)[:, None] * size
        made[start : start + some] = np.bincount(places.ravel(), minlength=some * size).reshape(some, size)
    return made
