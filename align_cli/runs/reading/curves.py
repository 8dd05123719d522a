"""Metrics over steps, as lines to draw: which there are, which belong in one picture, smoothed if asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from align_cli.errors import UsageError
from align_cli.registry import suggest
from align_cli.runs.metrics import Log
from align_cli.runs.reading.record import number

#: Metrics that tell a run's story, in pictures of what has one scale. Names are those of TRL's trainers.
PICTURES: dict[str, tuple[str, ...]] = {
    "loss": ("loss",),
    "rewards": ("rewards/chosen", "rewards/rejected"),
    "reward margin": ("rewards/margins", "margin"),
    "reward accuracy": ("rewards/accuracies", "accuracy"),
    "odds ratio": ("nll_loss", "log_odds_ratio"),
    "divergence": ("kl",),
    "token accuracy": ("mean_token_accuracy",),
}
#: Drawn without being asked for; `token accuracy` only where nothing but the loss would be.
_ALWAYS = ("loss", "rewards", "reward margin", "reward accuracy", "odds ratio", "divergence")
EVAL = "eval_"
#: Of one attempt and its clock, not of the run.
_CLOCKS = ("_runtime", "_per_second", "total_flos")
_LAST_OF_ALL = "train_"  # the trainer's closing line has sums over the run under these names


class Curve(NamedTuple):
    """One line: points in the order of steps."""

    run: str
    metric: str
    steps: list[int]
    values: list[float]
    num_missing: int
    """Points left out: not finite, or without a place on a logarithmic scale."""

    @property
    def is_evaluation(self) -> bool:
        """Whether these are a few points from evaluations rather than a logged line."""
        return self.metric.startswith(EVAL)


class Picture(NamedTuple):
    """Curves on one pair of axes."""

    title: str
    curves: list[Curve]


def available(log: Log) -> list[str]:
    """Names of all metrics that could be drawn, as they first appear."""
    names: dict[str, None] = {}
    for line in log.lines:
        for name, value in line.items():
            if name == "step" or is_clock(name) or name.startswith(_LAST_OF_ALL):
                continue
            if value is None or number(value) is not None:
                names[name] = None
    return list(names)


def is_clock(name: str) -> bool:
    """Whether a metric tells how long something took, or how much was computed."""
    return name.endswith(_CLOCKS)


def of(run: str, log: Log, metric: str, *, smoothing: float = 0.0, is_logarithmic: bool = False) -> Curve:
    """The points of one metric. Evaluations are never smoothed: there are few of them, and each counts."""
    steps: list[int] = []
    values: list[float] = []
    missing = 0
    for line in log.lines:
        if metric not in line:
            continue
        value = number(line[metric])
        if value is None or (is_logarithmic and value <= 0):
            missing += 1
            continue
        steps.append(line["step"])
        values.append(float(value))
    if smoothing and not metric.startswith(EVAL):
        values = smoothed(values, smoothing)
    return Curve(run, metric, steps, values, missing)


def smoothed(values: Sequence[float], smoothing: float) -> list[float]:
    """An exponential moving average without the pull of its start, as TensorBoard draws it.

    s_i = (1 - a) * sum_j a**(i - j) * v_j / (1 - a**i), with a = `smoothing` and j from 1 to i:

    >>> smoothed([1.0, 3.0], 0.5)
    [1.0, 2.3333333333333335]
    """
    found: list[float] = []
    average = 0.0
    for count, value in enumerate(values, 1):
        average = smoothing * average + (1 - smoothing) * value
        found.append(average / (1 - smoothing**count))
    return found


def pictures(
    runs: Sequence[tuple[str, Log]],
    *,
    metrics: Iterable[str] = (),
    smoothing: float = 0.0,
    is_logarithmic: bool = False,
) -> list[Picture]:
    """What to draw of these runs: the metrics asked for, each with its evaluation, else those that tell the story.

    Raises:
        UsageError: no run has logged a metric of that name, or nothing has been logged.
    """
    names = list(dict.fromkeys(name for _, log in runs for name in available(log)))
    if not names:
        which = "the run has" if len(runs) == 1 else "the runs have"
        raise UsageError(f"there is nothing to draw: {which} logged no metric yet")
    made = []
    for title, wanted in _wanted(names, list(metrics)):
        curves = [
            of(run, log, metric, smoothing=smoothing, is_logarithmic=is_logarithmic)
            for metric in wanted
            for run, log in runs
            if metric in available(log)
        ]
        made.append(Picture(title, curves))
    return made


def as_document(pictures: Iterable[Picture]) -> list[dict[str, Any]]:
    """The JSON of what would be drawn: `points` are [step, value]."""
    return [
        {
            "title": picture.title,
            "curves": [
                {
                    "run": curve.run,
                    "metric": curve.metric,
                    "points": [list(point) for point in zip(curve.steps, curve.values, strict=True)],
                    "missing": curve.num_missing,
                }
                for curve in picture.curves
            ],
        }
        for picture in pictures
    ]


def _wanted(names: Sequence[str], asked: Sequence[str]) -> list[tuple[str, list[str]]]:
    """(title, metrics) of every picture."""
    if asked:
        if unknown := [name for name in asked if name not in names]:
            hint = suggest(unknown[0], names)
            raise UsageError(f'no metric "{unknown[0]}" was logged', hint=hint)
        return [(name, _with_evaluation([name], names)) for name in dict.fromkeys(asked)]
    told = [(title, _with_evaluation(PICTURES[title], names)) for title in _ALWAYS]
    told = [(title, found) for title, found in told if found]
    if len(told) == 1 and (found := _with_evaluation(PICTURES["token accuracy"], names)):
        told.append(("token accuracy", found))
    return told or [(name, [name]) for name in names if name not in ("epoch", "learning_rate", "num_tokens")][:4]


def _with_evaluation(metrics: Iterable[str], names: Sequence[str]) -> list[str]:
    return [name for metric in metrics for name in (metric, f"{EVAL}{metric}") if name in names]
