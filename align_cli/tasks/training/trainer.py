"""TRL's trainers with what `align` adds: whole checkpoints, exact resuming, a stop that saves first, a watched loss."""

from __future__ import annotations

import os
import shutil
import time
from functools import cache
from pathlib import Path
from typing import Any

from align_cli.errors import Interrupted, TrainingError
from align_cli.interrupt import StopRequest
from align_cli.runs import checkpoints
from align_cli.tasks.task import Context
from align_cli.tasks.training import company
from align_cli.tasks.training.sanity import LossWatch

_FULL_DISK = ("no space left", "disk quota", "errno 28", "file write failed", "writing file")


@cache
def extended(base: type) -> type:
    """A subclass of the TRL trainer `base`; call `attach` on an instance before training."""

    class AlignTrainer(base):  # type: ignore[misc]
        """See the module; one class per task's trainer."""

        def attach(self, stop: StopRequest, context: Context) -> None:
            """Give the trainer what it listens to, and the run it belongs to."""
            self.stop, self.context = stop, context
            self.told: dict[str, Any] = {}  # facts for the manifest
            self.watch = LossWatch()
            self.saved_at = -1
            self.leaving = False  # all processes have agreed to stop
            self.seconds_before = 0.0  # trained by earlier attempts
            self.started = time.monotonic()

        def lighten(self) -> bool:
            """On a CPU: leave out what is computed for nothing; whether it could be."""
            return False

        def begin(self, *, resumed: bool) -> None:
            """What has to happen before the first step."""

        def create_model_card(self, *args: Any, **kwargs: Any) -> None:
            """Nothing: the card is written once, at the end, by `align_cli.runs.card.write`."""

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            found = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            if self.model.training:
                loss = found[0] if return_outputs else found
                self.watch.look(loss.detach().item(), self.state.global_step)
            return found

        def _send_telemetry(self) -> None:
            # Asked of the environment itself: huggingface_hub reads it once, perhaps before it was set.
            if os.environ.get("HF_HUB_DISABLE_TELEMETRY", "1").lower() in ("0", "no", "false", "off"):
                super()._send_telemetry()

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            if "train_loss" in logs:
                # Upstream divides by the steps of this process; after resuming, the sum covers the whole run.
                logs["train_loss"] = self._total_loss_scalar / max(self.state.global_step, 1)
            super().log(logs, start_time)

        def _maybe_log_save_evaluate(self, *args: Any, **kwargs: Any) -> None:
            # A signal reaches processes at different moments; one that comes while they agree counts at the next step.
            if company.anyone(self.stop.asked):
                self.stop.asked = self.leaving = True
            if self.leaving:
                self.control.should_save = True
            super()._maybe_log_save_evaluate(*args, **kwargs)
            if self.leaving and self.saved_at == self.state.global_step:
                raise self.stop.error(
                    f"stopped after step {self.state.global_step} of {self.state.max_steps}; "
                    f"checkpoint-{self.state.global_step} is saved",
                    hint="the same command goes on from there",
                )

        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            """Save, declare the checkpoint whole, and only then let older ones go."""
            from transformers.trainer_utils import rotate_checkpoints

            args = self.args
            folder = Path(args.output_dir, f"checkpoint-{self.state.global_step}")
            limit, args.save_total_limit = args.save_total_limit, None
            model_only, args.save_only_model = args.save_only_model, args.save_only_model and not self.leaving
            if args.should_save and folder.exists():  # of another attempt: its files must not mix with these
                shutil.rmtree(folder)
            company.wait()
            try:
                super()._save_checkpoint(model, trial)
                state = self.progress_state()  # also waits until every process has written its part
                if args.should_save and not args.save_only_model:
                    checkpoints.seal(folder, state)
            except Interrupted:
                raise
            except Exception as cause:
                if args.should_save:
                    shutil.rmtree(folder, ignore_errors=True)
                raise saving_failed(cause, folder) from cause
            finally:
                args.save_total_limit, args.save_only_model = limit, model_only
            self.saved_at = self.state.global_step
            if args.should_save:
                rotate_checkpoints(
                    output_dir=args.output_dir,
                    save_total_limit=limit,
                    best_model_checkpoint=self.state.best_model_checkpoint,
                    use_mtime=True,
                )

        def progress_state(self) -> dict[str, Any]:
            """What upstream keeps in memory only, so that the windows it averages over go on where they were."""
            losses = company.gathered(self._tr_loss.item())
            return {
                "loss_in_window": sum(losses) / len(losses),
                "loss_logged": self._total_loss_scalar,
                "last_logged_step": self._globalstep_last_logged,
                "metrics_in_window": {name: list(values) for name, values in self._metrics["train"].items()},
                "tokens": self._total_train_tokens,
                "seconds": self.seconds_before + time.monotonic() - self.started,
            }

        def restore_progress(self, state: dict[str, Any]) -> None:
            """The inverse of `progress_state`; call when training begins."""
            self._tr_loss += state["loss_in_window"]
            self._total_loss_scalar = state["loss_logged"]
            self._globalstep_last_logged = state["last_logged_step"]
            self._metrics["train"].update({name: list(values) for name, values in state["metrics_in_window"].items()})
            self._total_train_tokens = state["tokens"]
            self.seconds_before = state["seconds"]

    AlignTrainer.__name__ = f"Align{base.__name__}"
    return AlignTrainer


def whole_model(model: Any) -> Any:
    """The model itself, below an adapter."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def saving_failed(cause: BaseException, place: Path) -> TrainingError:
    """The error for a save that failed: a full disk gets its own words."""
    words = " ".join(str(cause).split()) or type(cause).__name__
    if any(mark in words.lower() for mark in _FULL_DISK):
        return TrainingError(
            f"{place.name} could not be saved: the disk is full; what had been written of it is removed",
            hint="free some space and run the same command: it goes on from the last whole checkpoint; "
            "save_total_limit keeps fewer",
        )
    return TrainingError(f"{place.name} could not be saved: {words}")
