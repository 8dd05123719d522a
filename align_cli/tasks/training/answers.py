"""What trainers on answers share: rows that are tokens already, a lean forward, and a reference that is stored.

TRL's trainers keep their losses and metrics. Only where their model is called, it is called on rows laid end to end
(`laid`), and only where they would run a reference model, its values are read from the store (`reference`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from align_cli.errors import TrainingError
from align_cli.models import attending, load
from align_cli.models.locate import locate
from align_cli.recipe.schema import Recipe
from align_cli.tasks.task import Context
from align_cli.tasks.training import company, reference, strategies
from align_cli.tasks.training.lean import attention
from align_cli.tasks.training.lean.laid import Groups, LaidEndToEnd
from align_cli.tasks.training.rows import beside
from align_cli.tasks.training.sanity import look_at_first_rewards
from align_cli.tasks.training.trainer import extended, whole_model

if TYPE_CHECKING:
    import numpy as np

#: Tokens of one batch of the reference on a CPU: enough for its matrix products, small enough for its caches.
_ON_CPU = (2048, 8192)


def keeps_reference_in_memory(recipe: Recipe) -> bool:
    """Whether the reference changes during training, so that nothing of it can be stored."""
    return bool(recipe.get("sync_ref_model"))


def forced(recipe: Recipe) -> dict[str, Any]:
    """Values that the stored reference demands of upstream's configuration."""
    return {"precompute_ref_log_probs": not keeps_reference_in_memory(recipe)}


def parts(context: Context) -> Mapping[str, Any]:
    """The reference model, where it must be there all the time."""
    if not keeps_reference_in_memory(context.recipe):
        return {}
    return {"ref_model": load.model(_reference_folder(context) or context.model, context.recipe)}


def with_answers(base: Any, *, groups: Callable[[int], Groups]) -> Any:
    """A subclass of the TRL trainer `base` that is given prepared rows; `groups`: rows of a batch that begin alike."""

    class AnswersTrainer(extended(base)):  # type: ignore[misc]
        """See the module; tasks add what their rows need."""

        #: Columns of the reference's values, in the order of what `compute_ref_log_probs` gives.
        reference_columns: tuple[str, ...] = ()
        laid = False
        looked = False  # at the first step's rewards

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            with _without_hash(base):
                super().__init__(*args, **kwargs)

        def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
            """The rows as they are: they were prepared by the parent."""
            return dataset

        def _precompute_ref_logps(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
            """Nothing: `begin` reads the store."""
            return dataset

        def lighten(self) -> bool:
            model = whole_model(self.model)
            if getattr(self, "aux_loss_enabled", False) or not attending.suits(model):
                return False
            attention.switch_on(model)
            self.laid = True
            return True

        def in_place_of(self, model: Any) -> Any:
            """What the loss calls instead of `model`."""
            return LaidEndToEnd(model, groups) if self.laid else model

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **kwargs: Any) -> Any:
            found = super().compute_loss(model, inputs, return_outputs, **kwargs)
            if self.model.training and self.reference_columns and not self.looked:
                self.looked = True
                loss = found[0] if return_outputs else found
                look_at_first_rewards(self, float(loss.detach()), inputs)
            return found

        def _compute_loss(self, model: Any, inputs: Any, return_outputs: bool) -> Any:
            return super()._compute_loss(self.in_place_of(model), inputs, return_outputs)

        def begin(self, *, resumed: bool) -> None:
            self.resumed = resumed
            if self.args.precompute_ref_log_probs and self.reference_columns:
                promise, self.stop.promise = self.stop.promise, "stopping after this batch: what is computed is stored"
                self._complete_reference()
                self.stop.promise = promise

        def reference_inputs(self) -> dict[str, Any]:
            """What beside rows, model and precision the reference's values depend on."""
            return {}

        def lengths_of(self, dataset: Any) -> np.ndarray:
            """(rows,) int64: tokens that each row costs the reference."""
            raise NotImplementedError

        def _complete_reference(self) -> None:
            """Both splits get their reference columns; what is not stored yet is computed now."""
            recipe, data = self.context.recipe, self.context.data
            assert data is not None
            named = _reference_folder(self.context)
            shared_out = strategies.sharded(self.context.strategy)  # then the policy cannot be asked before it trains
            folder = named or (self.context.model if shared_out else None)
            model = load.model(folder, recipe) if folder is not None else None
            if model is not None:
                model = self._adopted(model)
            began = time.monotonic()
            digest = reference.digest_of_model(named or self.context.model)
            self.told["reference"] = {
                "model": recipe.get("ref_model_name_or_path") or recipe.get("model_name_or_path"),
                "digest": digest,
                "separate": named is not None,
            }
            try:
                for split in ("train", "eval"):
                    rows = getattr(self, f"{split}_dataset")
                    if rows is not None:
                        made_of = {"data": data.name, "split": split, "model": digest, **self._arithmetic()}
                        store = reference.open_store(made_of, self.reference_columns, len(rows))
                        with_reference = self._completed(rows, store, split, model)
                        setattr(self, f"{split}_dataset", with_reference)
            finally:
                self.ref_model = None
            self.told["reference"]["seconds"] = round(time.monotonic() - began, 3)

        def _arithmetic(self) -> dict[str, Any]:
            model = whole_model(self.model)
            mixed = "bfloat16" if self.args.bf16 else "float16" if self.args.fp16 else "no"
            quantised = [name for name in ("is_loaded_in_4bit", "is_loaded_in_8bit") if getattr(model, name, False)]
            return {
                "weights": str(model.dtype),
                "mixed": mixed,
                "quantised": quantised,
                **self.reference_inputs(),
            }

        def _adopted(self, model: Any) -> Any:
            from trl.trainer.utils import add_fused_lm_head

            add_fused_lm_head(model)
            if self.laid and attending.suits(model):
                attention.switch_on(model)
            self.ref_model = strategies.for_evaluation(model.eval(), self.accelerator, self.context.strategy)
            return self.ref_model

        def _completed(self, rows: Any, store: reference.Store, split: str, separate: Any) -> Any:
            """The rows with the reference's columns beside their own."""
            import numpy as np

            wanted = self._rows_to_come() if split == "train" else np.arange(len(rows))
            wanted = np.unique(np.concatenate(company.gathered(wanted)))
            lengths = self.lengths_of(rows)
            whole = reference.complete(
                store,
                wanted,
                lengths,
                lambda batch: self._reference_of(rows, batch, separate),
                at_once=self._at_once(lengths),
                say=self.context.say,
                stopped=lambda: self.stop.asked,
                in_step=strategies.sharded(self.context.strategy),
            )
            if not whole:
                hint = "the same command goes on from there"
                raise self.stop.error("stopped while the reference was computed; its values are stored", hint=hint)
            values = store.read()
            if not np.isfinite(values[wanted]).all():
                raise TrainingError(
                    "the reference model gives log-probabilities that are not finite",
                    hint="look at the reference model; half precision (fp16) often overflows: use bf16 or float32",
                )
            self.told.setdefault("reference", {})[f"{split}_rows"] = len(wanted)
            return beside(rows, {name: values[:, index] for index, name in enumerate(store.columns)})

        def _at_once(self, lengths: np.ndarray) -> int:
            """Tokens of one batch: what a training step of the longest rows holds, on a CPU within bounds."""
            rows = self.args.precompute_ref_batch_size or self.args.per_device_train_batch_size
            tokens = int(rows) * int(lengths.max())
            if self.args.device.type != "cpu" or self.args.precompute_ref_batch_size:
                return tokens
            return min(max(tokens, _ON_CPU[0]), _ON_CPU[1])

        def _reference_of(self, rows: Any, batch: list[int], separate: Any) -> np.ndarray:
            """(rows, columns) float32."""
            import torch

            inputs = self._prepare_inputs(self.data_collator([rows[row] for row in batch]))
            model = separate if separate is not None else self.model
            training = model.training
            model.eval()
            try:
                with nullcontext() if separate is None else self.accelerator.autocast():
                    found = self.compute_ref_log_probs(self.in_place_of(model), inputs)
            finally:
                model.train(training)
            values: np.ndarray = torch.stack([one.float() for one in found if one is not None], dim=1).cpu().numpy()
            return values

        def _rows_to_come(self) -> np.ndarray:
            """Rows that training will read: all of them, or those of the first steps when it ends within an epoch."""
            import numpy as np

            everything = np.arange(len(self.train_dataset))
            if self.args.max_steps <= 0:
                return everything
            needed = self.args.max_steps * self.args.gradient_accumulation_steps
            with _same_random_numbers():
                loader = self.get_train_dataloader()
                if needed >= len(loader) or loader.batch_sampler is None:
                    return everything
                batches = zip(range(needed), loader.batch_sampler, strict=False)
                return np.array(sorted({row for _, batch in batches for row in batch}), np.int64)

    return AnswersTrainer


def _reference_folder(context: Context) -> Path | None:
    """The folder of a reference model that is not the one training starts from."""
    recipe = context.recipe
    name = recipe.get("ref_model_name_or_path")
    if not name or name == recipe.get("model_name_or_path"):
        return None
    return locate(
        name,
        revision=recipe.get("ref_model_revision"),
        trust_remote_code=bool(recipe.get("trust_remote_code")),
        say=context.say,
    )


@contextmanager
def _without_hash(base: Any) -> Iterator[None]:
    """Spare upstream's constructor the digest of all weights, which it wants for a cache of its own."""
    import sys

    module = sys.modules[base.__module__]
    before = getattr(module, "hash_module", None)
    if before is not None:
        module.hash_module = lambda model: ""  # type: ignore[attr-defined]
    try:
        yield
    finally:
        if before is not None:
            module.hash_module = before  # type: ignore[attr-defined]


@contextmanager
def _same_random_numbers() -> Iterator[None]:
    """Leave the random numbers of training as if nothing had been drawn in the block."""
    import torch

    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(state)
