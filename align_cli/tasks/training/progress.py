"""What a run tells while it goes: moments for the display, lines for the metrics file, and the state to resume."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

from align_cli.runs.metrics import Metrics
from align_cli.tasks.task import Context, Progress


@cache
def reporter_class() -> type:
    """The trainer callback; a function because its base class comes with transformers."""
    from transformers import TrainerCallback

    class Reporter(TrainerCallback):  # type: ignore[misc]
        """Feeds `context.on_progress` and `align/metrics.jsonl`, and restores an interrupted run's counters."""

        def __init__(self, trainer: Any, context: Context, resumed: dict[str, Any] | None) -> None:
            self.trainer, self.context, self.resumed = trainer, context, resumed
            self.metrics: Metrics | None = None
            self.began = 0.0
            self.first_step = self.first_tokens = 0

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            # A checkpoint carries the cadence of its own attempt; the recipe may have another now.
            state.compute_steps(args, state.max_steps)
            if state.is_world_process_zero:
                self.metrics = Metrics(self.context.run_dir, after_step=state.global_step)
            if self.resumed is not None:
                self.trainer.restore_progress(self.resumed)
            self.began = self.trainer.started = time.monotonic()
            self.first_step, self.first_tokens = state.global_step, self.trainer._total_train_tokens
            self._tell(state, {})

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self._tell(state, {})

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
            if self.metrics is not None:
                self.metrics.write(state.global_step, logs)
            if "train_runtime" not in logs:
                self._tell(state, logs)

        def _tell(self, state: Any, logs: dict[str, float]) -> None:
            seconds = max(time.monotonic() - self.began, 1e-9)
            steps = state.global_step - self.first_step
            tokens = self.trainer._total_train_tokens
            self.context.on_progress(
                Progress(
                    step=state.global_step,
                    num_steps=state.max_steps,
                    epoch=float(state.epoch or 0.0),
                    metrics={key: float(value) for key, value in logs.items() if isinstance(value, int | float)},
                    tokens=int(tokens),
                    tokens_per_second=(tokens - self.first_tokens) / seconds if steps else 0.0,
                    seconds_left=seconds / steps * (state.max_steps - state.global_step) if steps else None,
                )
            )

    return Reporter
