"""One line about a run: what `align runs ls` lists, read without parsing more of a run than it shows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from align_cli.errors import UsageError
from align_cli.registry import suggest
from align_cli.runs import checkpoints, metrics
from align_cli.runs.directory import OURS
from align_cli.runs.reading.record import STATES, Record, State, mapping, mappings, number, whole


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """One run among others."""

    name: str
    """The path that names it here: relative to the working directory where the run lies below it."""
    path: Path
    status: State
    resumes_from: str | None
    """The checkpoint that the same command would go on from, where the run is unfinished."""
    task: str
    model: str
    sources: tuple[str, ...]
    """Labels of the sources trained on."""
    rows: int | None
    """Rows trained on."""
    step: int | None
    """Steps done, as far as they were logged."""
    num_steps: int | None
    """Steps planned; None where only the work itself can tell."""
    loss: float | None
    """The last one logged."""
    eval_loss: float | None
    """The last one logged."""
    best_eval_loss: float | None
    when: float | None
    """Seconds since 1970: when it finished, or when something last happened to it."""
    bytes: int
    """On disk, checkpoints included."""
    problems: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON of one run; `when` as ISO 8601, in UTC."""
        document = asdict(self) | {"path": str(self.path), "sources": list(self.sources)}
        document["problems"] = list(self.problems)
        if self.when is not None:
            document["when"] = datetime.fromtimestamp(self.when, UTC).isoformat(timespec="seconds")
        return document


#: Word of `--sort` -> (what it compares, whether the largest comes first). Runs without the value come last.
ORDERS: dict[str, tuple[Callable[[Summary], Any], bool]] = {
    "when": (lambda run: run.when, True),
    "name": (lambda run: run.name, False),
    "task": (lambda run: run.task or None, False),
    "status": (lambda run: STATES.index(run.status), False),
    "model": (lambda run: run.model or None, False),
    "loss": (lambda run: run.loss, False),
    "eval": (lambda run: run.best_eval_loss, False),
    "steps": (lambda run: run.step, True),
    "size": (lambda run: run.bytes, True),
}


def of(path: Path) -> Summary:
    """Read one run."""
    record = Record(path)
    curve = _Ends.of(path)
    status = record.state
    unfinished = status not in ("finished", "running")
    checkpoint = record.last_checkpoint if unfinished else None
    labels = [
        str(source.get("label") or source.get("path"))
        for source in mappings(record.mixture.get("sources"))
        if source.get("for", "train") == "train"
    ]
    step = record.facts.get("steps") if status == "finished" else curve.step
    if step is None and checkpoint is not None:
        step = checkpoints.step_of(checkpoint)
    return Summary(
        name=shown(path),
        path=path,
        status=status,
        resumes_from=checkpoint.name if checkpoint else None,
        task=record.task,
        model=record.model,
        sources=tuple(dict.fromkeys(labels)),
        rows=whole(mapping(record.preparation.get("rows")).get("train")),
        step=whole(step),
        num_steps=whole(record.plan.get("num_steps")),
        loss=curve.loss,
        eval_loss=curve.eval_loss,
        best_eval_loss=curve.best_eval_loss,
        when=record.seconds_since_epoch,
        bytes=sum(size for _, size in record.files()),
        problems=tuple(str(problem) for problem in record.problems),
    )


def chosen(
    runs: Iterable[Summary], *, tasks: Sequence[str], states: Sequence[str], order: str, is_reversed: bool
) -> list[Summary]:
    """The runs of these tasks and in these states (empty: all), sorted by a word of `ORDERS`."""
    kept = [run for run in runs if (not tasks or run.task in tasks) and (not states or run.status in states)]
    value, largest_first = ORDERS[order]
    kept.sort(key=lambda run: run.name)
    known = [run for run in kept if value(run) is not None]
    known.sort(key=value, reverse=largest_first is not is_reversed)
    return known + [run for run in kept if value(run) is None]


def demand_known(*, states: Sequence[str], order: str) -> None:
    """Check words of the command line.

    Raises:
        UsageError: there is no such state or order.
    """
    for state in states:
        if state not in STATES:
            raise UsageError(f'there is no status "{state}"', hint=suggest(state, STATES))
    if order not in ORDERS:
        raise UsageError(f'runs cannot be sorted by "{order}"', hint=suggest(order, ORDERS))


def shown(path: Path) -> str:
    """A path as somebody would type it here."""
    full, here = os.path.abspath(path), os.getcwd()
    if full.startswith(here.rstrip("/") + "/"):
        return os.path.relpath(full)
    return os.path.basename(full) if full == here else full


@dataclass(frozen=True, slots=True)
class _Ends:
    """The last values of a metrics file, and its best evaluation."""

    step: int | None = None
    loss: float | None = None
    eval_loss: float | None = None
    best_eval_loss: float | None = None

    @classmethod
    def of(cls, path: Path) -> _Ends:
        """Only lines that hold what is asked for are parsed: a long run has logged megabytes."""
        try:
            content = (path / OURS / metrics.FILE).read_bytes()
        except OSError:
            return cls()
        losses = [line["loss"] for line in _lines_with(content, "loss", last=True)]
        evaluations = [line["eval_loss"] for line in _lines_with(content, "eval_loss", last=False)]
        finite = [value for value in map(number, evaluations) if value is not None]
        steps = [line["step"] for line in _lines_with(content, "step", last=True)]
        return cls(
            step=steps[-1] if steps else None,
            loss=number(losses[-1]) if losses else None,
            eval_loss=number(evaluations[-1]) if evaluations else None,
            best_eval_loss=min(finite, default=None),
        )


def _lines_with(content: bytes, key: str, *, last: bool) -> list[dict[str, Any]]:
    """The lines that hold `key`, or only the last of them."""
    mark = f"{json.dumps(key)}: ".encode()
    found = []
    end = len(content)
    while (place := content.rfind(mark, 0, end)) >= 0:
        start = content.rfind(b"\n", 0, place) + 1
        stop = content.find(b"\n", place)
        entry = metrics.parse(content[start : stop if stop >= 0 else len(content)])
        if entry is not None and key in entry:
            found.append(entry)
            if last:
                break
        end = start
    return found[::-1]
