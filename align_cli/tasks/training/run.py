"""One training run with a TRL trainer, from the prepared tokens to the saved model and its results."""

from __future__ import annotations

import gc
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align_cli.errors import Interrupted, TrainingError
from align_cli.interrupt import listening
from align_cli.models import load
from align_cli.models.adapters import chains as adapters
from align_cli.models.adapters import stacking
from align_cli.models.memory import keep_freed_memory
from align_cli.recipe.schema import Recipe
from align_cli.runs import checkpoints
from align_cli.runs.directory import OURS
from align_cli.tasks.preparing.settings import choose
from align_cli.tasks.task import Context, Result
from align_cli.tasks.training import company, memory, sanity, strategies, trackers
from align_cli.tasks.training import rows as prepared
from align_cli.tasks.training.arguments import trainer_config
from align_cli.tasks.training.lean import attention, cpu
from align_cli.tasks.training.progress import reporter_class
from align_cli.tasks.training.trainer import saving_failed, whole_model


@dataclass(frozen=True, kw_only=True)
class Method:
    """What the training of one task has of its own. Everything is called in the process that trains."""

    trainer: Callable[[], Any]
    """Upstream's trainer, extended by `trainer.extended`."""
    config: Callable[[], Any]
    """Upstream's configuration of it."""
    model: Callable[[Path, Recipe], Any] = load.model
    """Loads what is trained."""
    adapter: Callable[[Recipe], Any] = load.adapter
    """What is trained on top of it, or None."""
    forced: Callable[[Recipe], Mapping[str, Any]] = lambda recipe: {}
    """Values of the configuration that the way of working here demands."""
    parts: Callable[[Context], Mapping[str, Any]] = lambda context: {}
    """Further arguments of the trainer."""


def train(context: Context, method: Method) -> Result:
    """Do the work of one task in this process, from the last whole checkpoint if there is one.

    Leaves in the run directory: the model with its tokenizer, `train_results.json`, `eval_results.json` (with
    evaluation rows), `all_results.json`, `trainer_state.json`, checkpoints, and `align/metrics.jsonl`.

    Raises:
        TrainingError: the work failed; the last whole checkpoint stays.
        Interrupted: somebody asked to stop; a checkpoint was saved.
    """
    # Upstream announces its plans for later versions here; a user of a recipe can do nothing about them.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(trl|transformers|peft|accelerate)\b")
    with _no_collecting():
        trainer_class, config_class = method.trainer(), method.config()

    recipe, run_dir = context.recipe, context.run_dir
    _seed(recipe)
    _quiet(recipe.values.get("log_level"))
    rows, eval_rows = prepared.opened(context)
    met = strategies.join(context.strategy, recipe, on_cpu=on_cpu(recipe))
    start = checkpoints.to_start_from(run_dir, recipe)
    strategy = strategies.values(context.strategy, context.offload, recipe, start, context.say)
    config = trainer_config(
        config_class,
        recipe,
        forced={**met, **strategy, **method.forced(recipe)},
        output_dir=str(run_dir),
        has_eval=eval_rows is not None,
        say=context.say,
    )
    tokenizer = _tokenizer(context)
    model = method.model(context.model, recipe)
    use_cache = model.config.use_cache
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(len(tokenizer))
    if recipe.profile.startswith("handbook"):
        use_cache = True  # its scripts saved every model ready to generate, whatever it was loaded as

    resumed = checkpoints.state_in(start) if start is not None else None
    company.wait()  # every process has seen the same checkpoints
    if company.is_first():
        checkpoints.remove_torn(run_dir)
    restore = strategies.allow_fsdp_on_cpu(config)
    with listening(context.say) as stop:
        trainer = trainer_class(
            model=model,
            args=config,
            train_dataset=rows,
            eval_dataset=eval_rows,
            processing_class=tokenizer,
            peft_config=method.adapter(recipe),
            **method.parts(context),
        )
        restore()
        strategies.lighten(trainer.accelerator)
        trainer.attach(stop, context)
        reporter = reporter_class()(trainer, context, resumed)
        _take_over_the_display(trainer, reporter)
        trackers.guard(trainer, context.say)
        facts = sanity.facts(trainer.model, config.device)
        context.say(sanity.sentence(facts))
        sanity.demand_room(run_dir, trainer.model)
        cpu_only = config.device.type == "cpu"
        if cpu_only:
            keep_freed_memory()
        facts["cpu_rows_end_to_end"] = cpu_only and not config.torch_compile and trainer.lighten()
        try:
            with cpu.lean_head() if cpu_only else nullcontext():
                trainer.begin(resumed=start is not None)
                outcome = trainer.train(resume_from_checkpoint=str(start) if start is not None else None)
                _save_model(trainer, run_dir, context.model, use_cache=use_cache)
                metrics = _train_results(trainer, outcome, context)
                metrics.update(_evaluate(trainer, config, eval_rows, context))
        except KeyboardInterrupt:
            last = checkpoints.last_whole(run_dir)
            left = f"the last checkpoint is {last.name}" if last else "no checkpoint was saved yet"
            raise Interrupted(f"stopped at once; {left}", hint="the same command goes on from there") from None
        except RuntimeError as cause:
            raise _explained(cause) from cause
        _end(trainer, context.say)
    if reporter.metrics is not None:
        reporter.metrics.close()
    if stage := adapters.stage_of(context.model):
        facts["chain"] = stage["chain"]
    facts.update(memory.facts(config.device))
    company.part()
    facts.update(
        trainer.told,
        strategy=context.strategy,
        num_processes=company.size(),
        steps=trainer.state.global_step,
        epochs=trainer.state.epoch,
        tokens=int(trainer._total_train_tokens),
        resumed_from=start.name if start is not None else None,
    )
    return Result(metrics=metrics, facts=facts)


def on_cpu(recipe: Recipe) -> bool:
    """Whether the processes of this run have no GPU to train on."""
    import torch

    return bool(recipe.get("use_cpu")) or not (torch.cuda.is_available() or torch.backends.mps.is_available())


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Pause the garbage collector for a block that imports much: it takes a sixth of the time and finds nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # modules stay: later collections need not look at them
        if enabled:
            gc.enable()


def _tokenizer(context: Context) -> Any:
    """The tokenizer that the data were made with, and its template."""
    assert context.data is not None
    chosen = choose(context.recipe, context.model, say=context.say)
    template = context.data / "chat_template.jinja"
    return load.tokenizer(
        chosen.tokenizer.folder,
        special=chosen.tokenizer.special,
        added=chosen.tokenizer.added,
        chat_template=template.read_text(encoding="utf-8") if template.is_file() else None,
        trust_remote_code=bool(context.recipe.get("trust_remote_code")),
    )


def _take_over_the_display(trainer: Any, reporter: Any) -> None:
    """Our reporter first, so that a tracker cannot keep a metric from the file; upstream's printer not at all."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(reporter)
    handler = trainer.callback_handler
    handler.callbacks.remove(reporter)
    handler.callbacks.insert(1, reporter)  # after the default flow, which decides what happens at a step


def _save_model(trainer: Any, run_dir: Path, began_from: Path, *, use_cache: bool) -> None:
    """Into a folder of its own, then file by file into place: a reader never meets half a file.

    An adapter that was trained on other adapters is saved as one with them. What training switched in the model's
    configuration (attention, `use_cache`) is switched back.
    """
    work = run_dir / OURS / ".model"
    writes = trainer.args.should_save
    if writes:
        shutil.rmtree(work, ignore_errors=True)
    company.wait()
    model = whole_model(trainer.model)
    by_row = attention.is_on(model)
    attention.switch_off(model)
    model.config.use_cache = use_cache
    try:
        trainer.save_model(str(work))  # together: none may hold all of it
        if writes:
            stacking.settle(work, began_from, trainer.model, name=run_dir.resolve().name)
            for file in sorted(work.iterdir()):
                os.replace(file, run_dir / file.name)
    except Exception as cause:
        raise saving_failed(cause, Path("the model")) from cause
    finally:
        if writes:
            shutil.rmtree(work, ignore_errors=True)
    if by_row:
        attention.switch_on(model)


def _train_results(trainer: Any, outcome: Any, context: Context) -> dict[str, float]:
    metrics = dict(outcome.metrics)
    metrics["train_samples"] = len(trainer.train_dataset)
    trainer.save_metrics("train", metrics)
    trainer.save_state()
    return metrics


def _evaluate(trainer: Any, config: Any, rows: Any, context: Context) -> dict[str, float]:
    """The final evaluation, where the recipe evaluates; not twice when the last step has just been evaluated."""
    if rows is None or (config.eval_strategy == "no" and not context.recipe.values.get("do_eval")):
        return {}
    last = next((entry for entry in reversed(trainer.state.log_history) if "eval_loss" in entry), None)
    fresh = last is not None and last["step"] == trainer.state.global_step and not config.load_best_model_at_end
    if fresh and last is not None:
        metrics = {key: value for key, value in last.items() if key != "step"}
    else:
        context.say("evaluating the finished model")
        metrics = trainer.evaluate()
    metrics["eval_samples"] = len(rows)
    trainer.save_metrics("eval", metrics)
    trainer.save_state()
    return dict(metrics)


def _end(trainer: Any, say: Callable[[str], None]) -> None:
    try:
        trainer.end()
    except Exception as cause:  # noqa: BLE001 - trackers are closed here; the model is saved
        say(f"warning: closing a tracker failed: {cause}")


def _explained(cause: RuntimeError) -> Exception:
    """Running out of memory in words; anything else as it is."""
    words = str(cause).lower()
    if "out of memory" in words or "can't allocate memory" in words or "not enough memory" in words:
        return TrainingError(
            "memory ran out",
            hint="lower per_device_train_batch_size and raise gradient_accumulation_steps as much, "
            "lower max_length, set gradient_checkpointing: true, or use_peft: true",
        )
    return cause


def _quiet(log_level: Any) -> None:
    """Upstream's progress bars and advice off the terminal, unless the recipe asks for a log level."""
    from datasets.utils.logging import disable_progress_bar
    from transformers.utils import logging

    logging.disable_progress_bar()
    disable_progress_bar()
    if log_level in (None, "passive"):
        logging.set_verbosity_error()


def _seed(recipe: Recipe) -> None:
    """Seed before the model is loaded: embeddings of added tokens are drawn before the trainer seeds for itself."""
    from transformers import set_seed

    set_seed(int(recipe.get("seed", 42)))
