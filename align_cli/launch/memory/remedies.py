"""What would make a run fit, the cheapest first, each with what it would need then."""

from __future__ import annotations

from dataclasses import dataclass, replace

from align_cli.launch.memory.shape import Adapter, Shape
from align_cli.launch.memory.verdict import Fit, Question

_RANK = 16  # of the adapter that is proposed: upstream's default


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to write, and the need with it."""

    words: str
    fit: Fit

    def __str__(self) -> str:
        return f"{self.words}: {self.fit.parts.total / 1e9:.1f} GB{'' if self.fit else ', not enough alone'}"


def remedies(question: Question, fit: Fit, processes: int, *, batch: int, accumulation: int) -> list[Remedy]:
    """Ways to less memory for the plan `fit`: first what changes no number, then what changes the training."""
    work, shape = question.work, question.shape

    def asked(other: Question) -> Fit:
        return other.fit(fit.strategy, fit.offload, processes)

    found = []
    if batch > 1:
        per_row = work.rows // batch
        size = next((s for s in _halves(batch) if asked(question.with_work(rows=s * per_row))), 1)
        words = f"per_device_train_batch_size={size} gradient_accumulation_steps={accumulation * batch // size}"
        found.append(Remedy(words, asked(question.with_work(rows=size * per_row))))
    if not work.checkpointing:
        found.append(Remedy("gradient_checkpointing=true", asked(question.with_work(checkpointing=True))))
    if processes > 1 or work.device == "cuda":
        table = question.table(processes)
        better = next((row for row in table if row), min(table, key=lambda row: row.parts.total))
        offload = f" --offload {better.offload}" if better.offload != "none" else ""
        found.append(Remedy(f"--strategy {better.strategy}{offload}", better))
    if work.device == "cuda" and work.optimizer_bytes > 2 and not fit.strategy.startswith("zero"):
        found.append(Remedy("optim=adamw_8bit", asked(question.with_work(optimizer_bytes=2.0))))
    if shape.adapter is None:
        found.append(Remedy("use_peft=true", asked(replace(question, shape=_with_adapter(shape)))))
    if work.length > 512:
        found.append(Remedy(f"max_length={work.length // 2}", asked(question.with_work(length=work.length // 2))))
    return [one for one in found if one.fit.parts.total < fit.parts.total]


def _halves(batch: int) -> list[int]:
    """Divisors of the batch below it, from the largest."""
    return [size for size in range(batch - 1, 0, -1) if batch % size == 0]


def _with_adapter(shape: Shape) -> Shape:
    """With adapters on queries and values, as peft does it where nothing is said."""
    h, q, v = shape.hidden, shape.queries, shape.key_values
    parameters = shape.layers * _RANK * (h + q + h + v)
    adapter = Adapter(parameters=parameters, matrices=2, width=2 * h, inputs=h, rank=_RANK)
    return replace(shape, adapter=adapter)
