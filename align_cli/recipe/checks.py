"""Rules across keys: contradictions are problems, things without effect are notes.

A rule judges what would run: the value in force, chosen or upstream's default. It complains at the place of a value
that somebody wrote, so the message can be acted on.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from align_cli.errors import Problem
from align_cli.recipe import checks_data, checks_launch, checks_splits, paths, ranges
from align_cli.recipe.fields import Field
from align_cli.recipe.schema import Note, Recipe
from align_cli.recipe.view import Finding, Unread, View

#: Trackers that the installed transformers knows (held against it by a contract test).
TRACKERS = frozenset(
    {
        *("azure_ml", "clearml", "codecarbon", "comet_ml", "dagshub", "dvclive", "flyte", "kubeflow", "mlflow"),
        *("neptune", "swanlab", "tensorboard", "trackio", "wandb", "all", "none"),
    }
)


def check(
    recipe: Recipe, fields: Mapping[str, Field], unread: Collection[str] = ()
) -> tuple[list[Problem], list[Note]]:
    """Everything that contradicts itself in a recipe, and everything that will have no effect.

    `unread` are keys whose value is already known to be wrong: no rule judges what it would have to guess.
    """
    view = View(recipe, fields, frozenset(unread))
    found: list[Finding] = []
    for rule in _RULES:
        try:
            found += list(rule(view))
        except Unread:
            continue
    return [item for item in found if isinstance(item, Problem)], [item for item in found if isinstance(item, Note)]


def _numbers(view: View) -> Iterator[Finding]:
    for key, message in ranges.outside(view.recipe):
        default = view.fields[key].default if key in view.fields and view.fields[key].static else None
        usable = isinstance(default, int | float) and default != view.chosen[key]
        yield view.problem(key, message, f"remove it: the default is {default:g}" if usable else "remove it")


def _model(view: View) -> Iterator[Finding]:
    model = view.chosen.get("model_name_or_path")
    if not model and "model_name_or_path" not in view.unread:
        hint = "model_name_or_path: a folder, a Hub id, or pkg://PACKAGE/FILE.gguf"
        yield view.problem("model_name_or_path", "the recipe names no model", hint)
    output = str(view.chosen.get("output_dir") or "")
    if "output_dir" in view.chosen and not output.strip():
        yield view.problem("output_dir", "output_dir is empty", "name a folder, or remove it")
    if model and output and _same_path(str(model), output):
        said = "output_dir is the model's own folder: training would overwrite it"
        yield view.problem("output_dir", said, "name another folder")
    if output and paths.is_there(output, "file"):
        yield view.problem("output_dir", f"output_dir {output} is a file")
    if view.chosen.get("trust_remote_code"):
        yield view.note("trust_remote_code", "trust_remote_code: code from the model's repository will run here")
    if view.chosen.get("chat_template") and view.chosen.get("chat_template_path"):
        yield view.problem("chat_template_path", "chat_template and chat_template_path are both given", "keep one")
    template_path = view.chosen.get("chat_template_path")
    names_file = isinstance(template_path, str) and template_path.endswith((".jinja", ".j2"))
    if names_file and not paths.is_there(str(template_path), "file"):
        yield view.problem("chat_template_path", f"there is no template file {template_path}")
    checkpoint = view.chosen.get("resume_from_checkpoint")
    if isinstance(checkpoint, str) and not paths.is_there(checkpoint, "folder"):
        yield view.problem("resume_from_checkpoint", f"there is no checkpoint folder {checkpoint}")


def _adapters(view: View) -> Iterator[Finding]:
    four, eight, peft = view.get("load_in_4bit"), view.get("load_in_8bit"), view.get("use_peft")
    if four and eight:
        yield view.problem("load_in_8bit", "load_in_4bit and load_in_8bit are both true", "keep one of the two")
    elif (four or eight) and not peft:
        key = "load_in_4bit" if four else "load_in_8bit"
        said = f"{key}: quantised weights cannot be trained, only an adapter on them"
        yield view.problem(key, said, "use_peft: true")
    if not peft:
        idle = [key for key in view.chosen if key.startswith("lora_") or key in ("use_rslora", "use_dora")]
        idle = [key for key in idle if view.chosen[key] != view.fields[key].default]
        if idle:
            names = ", ".join(idle)
            yield view.note(idle[0], f"{names}: without effect, because use_peft is false")
    if not four:
        idle = [key for key in view.chosen if key.startswith(("bnb_4bit_", "use_bnb_"))]
        idle = [key for key in idle if view.chosen[key] != view.fields[key].default]
        if idle:
            yield view.note(idle[0], f"{', '.join(idle)}: without effect, because load_in_4bit is false")


def _precision(view: View) -> Iterator[Finding]:
    if view.get("bf16") and view.get("fp16"):
        yield view.problem("fp16", "bf16 and fp16 are both true", "keep one of the two")
    if view.get("bf16_full_eval") and view.get("fp16_full_eval"):
        yield view.problem("fp16_full_eval", "bf16_full_eval and fp16_full_eval are both true", "keep one of the two")
    if view.get("dtype") == "float16" and not view.get("use_peft"):
        if view.get("fp16"):
            said = "fp16 scales gradients of float32 weights; dtype: float16 has none"
            yield view.problem("dtype", said, "dtype: float32")
        else:
            yield view.note("dtype", "dtype: float16 trains weights in 16 bits without scaling: expect NaN")
    old, new = view.chosen.get("gradient_checkpointing"), view.chosen.get("activation_checkpointing")
    if old is not None and new is not None and old != new:
        said = "gradient_checkpointing and activation_checkpointing are one thing and differ"
        yield view.problem("activation_checkpointing", said, "keep one of the two")


def _best_model(view: View) -> Iterator[Finding]:
    save, evaluate = view.get("save_strategy"), view.get("eval_strategy", "no")
    if save == "best" and evaluate == "no":
        yield view.problem("save_strategy", "save_strategy: best needs evaluations, and eval_strategy is no")
    if save == "best" and not view.get("metric_for_best_model") and not view.get("load_best_model_at_end"):
        said = "save_strategy: best needs metric_for_best_model"
        yield view.problem("save_strategy", said, "metric_for_best_model: loss")
    if not view.get("load_best_model_at_end") or save == "best":
        return
    key = "load_best_model_at_end"
    if evaluate == "no":
        said = "load_best_model_at_end needs evaluations, and eval_strategy is no"
        yield view.problem(key, said, f"eval_strategy: {save}")
    elif evaluate != save:
        said = f"load_best_model_at_end needs one rhythm: save_strategy is {save}, eval_strategy is {evaluate}"
        yield view.problem(key, said, f"save_strategy: {evaluate}")
    elif evaluate == "steps":
        every = view.get("eval_steps") or view.get("logging_steps")
        saved = view.get("save_steps")
        if not _multiple(saved, every):
            said = f"load_best_model_at_end: save_steps ({saved}) is not a multiple of eval_steps ({every})"
            yield view.problem("save_steps" if "save_steps" in view.chosen else key, said, f"save_steps: {every}")


def _schedule(view: View) -> Iterator[Finding]:
    if (view.chosen.get("max_steps") or -1) > 0 and "num_train_epochs" in view.chosen:
        said = f"num_train_epochs has no effect: max_steps: {view.chosen['max_steps']} decides"
        yield view.note("num_train_epochs", said)
    kind, extra = view.get("lr_scheduler_type"), view.get("lr_scheduler_kwargs")
    given = extra if isinstance(extra, dict) else {}
    if str(kind).startswith("cosine") and "min_lr" in str(kind) and not {"min_lr", "min_lr_rate"} & set(given):
        said = f"lr_scheduler_type: {kind} needs to know the minimum"
        yield view.problem("lr_scheduler_type", said, "lr_scheduler_kwargs: {min_lr_rate: 0.1}")
    if kind == "warmup_stable_decay" and "num_decay_steps" not in given:
        said = "lr_scheduler_type: warmup_stable_decay needs to know how long it decays"
        yield view.problem("lr_scheduler_type", said, "lr_scheduler_kwargs: {num_decay_steps: 100}")
    optimiser = str(view.get("optim") or "")
    if optimiser.startswith(("galore", "apollo")) and not view.get("optim_target_modules"):
        said = f"optim: {optimiser} needs optim_target_modules"
        yield view.problem("optim", said, "optim_target_modules: all-linear")


def _reporting(view: View) -> Iterator[Finding]:
    asked = view.get("report_to")
    for tracker in asked if isinstance(asked, list) else [asked]:
        if isinstance(tracker, str) and tracker and tracker not in TRACKERS:
            import difflib

            near = difflib.get_close_matches(tracker, TRACKERS, n=1, cutoff=0.6)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(TRACKERS))}"
            yield view.problem("report_to", f'report_to: there is no tracker "{tracker}"', hint)
    if view.get("push_to_hub") and not view.get("hub_model_id"):
        name = Path(str(view.get("output_dir"))).name
        yield view.note("push_to_hub", f"the model will be pushed as {name} under your own name (no hub_model_id)")
    if not view.get("push_to_hub"):
        idle = [key for key in ("hub_model_id", "hub_revision") if view.chosen.get(key)]
        if idle:
            yield view.note(idle[0], f"{', '.join(idle)}: without effect, because push_to_hub is false")
    if view.get("save_only_model"):
        yield view.note("save_only_model", "save_only_model: an interrupted run cannot be resumed")


def _distribution(view: View) -> Iterator[Finding]:
    if view.get("deepspeed") and view.get("fsdp"):
        yield view.problem("fsdp", "deepspeed and fsdp are both given", "keep one of the two")
    if not view.get("dataloader_num_workers"):
        if view.chosen.get("dataloader_prefetch_factor") is not None:
            said = "dataloader_prefetch_factor needs workers, and dataloader_num_workers is 0"
            yield view.problem("dataloader_prefetch_factor", said, "dataloader_num_workers: 2")
        if view.chosen.get("dataloader_persistent_workers"):
            said = "dataloader_persistent_workers needs workers, and dataloader_num_workers is 0"
            yield view.problem("dataloader_persistent_workers", said, "dataloader_num_workers: 2")


def _preference(view: View) -> Iterator[Finding]:
    weights, losses = view.chosen.get("loss_weights"), view.get("loss_type")
    if isinstance(weights, list):
        count = len(losses) if isinstance(losses, list) else 1
        if len(weights) != count:
            said = f"{len(weights)} loss_weights for {count} loss types"
            yield view.problem("loss_weights", said, "one weight for each entry of loss_type")
    if view.get("sync_ref_model") and (view.get("use_peft") or view.get("precompute_ref_log_probs")):
        other = "use_peft" if view.get("use_peft") else "precompute_ref_log_probs"
        why = (
            "whose reference is the model below the adapter"
            if other == "use_peft"
            else "which stores a fixed reference"
        )
        said = f"sync_ref_model moves the reference, and cannot be combined with {other}, {why}"
        yield view.problem("sync_ref_model", said, f"sync_ref_model: false, or {other}: false")


def _same_path(one: str, other: str) -> bool:
    if not (paths.is_there(one) and paths.is_there(other)):
        return False
    return os.path.samefile(os.path.expanduser(one), os.path.expanduser(other))


def _multiple(number: Any, of: Any) -> bool:
    """Whether steps, both whole or both shares of all steps, divide evenly."""
    if not isinstance(number, int | float) or not isinstance(of, int | float) or not of or number <= 0:
        return True  # another rule says what is wrong with these
    if (number < 1) != (of < 1):
        return False
    return math.isclose(number / of, round(number / of), rel_tol=1e-9)


_RULES: tuple[Callable[[View], Iterator[Finding]], ...] = (
    _numbers,
    _model,
    checks_data.data,
    checks_splits.training_on_tests,
    checks_splits.evaluating_on_training_rows,
    _adapters,
    _precision,
    checks_data.answers,
    checks_data.sequences,
    checks_data.evaluation,
    _best_model,
    _schedule,
    _reporting,
    _distribution,
    checks_launch.config_files,
    checks_launch.launching,
    _preference,
)
