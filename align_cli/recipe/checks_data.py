"""Rules between the data of a recipe and its keys: masks, evaluation, rows that count twice."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from typing import Any

from align_cli.recipe import paths
from align_cli.recipe.schema import Source
from align_cli.recipe.view import Finding, View

_TEXT_SUFFIXES = (".txt", ".txt.gz")
_DATA_SUFFIXES = (".json", ".jsonl", ".ndjson", ".gz", ".parquet", ".arrow", ".csv", ".tsv")


def data(view: View) -> Iterator[Finding]:
    """There is something to train on, and nothing of it counts twice unnoticed."""
    mixture = view.recipe.mixture
    if "mixture" in view.unread:
        return
    if not mixture.sources:
        yield view.problem("mixture", "the recipe names no data", "mixture: {sources: [{path: data.jsonl}]}")
    seen: dict[Any, str] = {}
    for source, key in view.sources():
        identity = _identity(source)
        if identity in seen and mixture.combine == "native":
            said = f"{source.label} is listed twice: its rows count twice (repeat: 2 says so in one place)"
            yield view.note(f"{key}.path", said)
        seen[identity] = key
        for word in ("fraction", "share"):
            if getattr(source, word) == 0 and not (word == "fraction" and mixture.combine == "trl"):
                yield view.note(f"{key}.{word}", f"{source.label} contributes nothing: its {word} is 0")
    yield from _streaming(view)
    for name in mixture.clean.decontaminate:
        if paths.is_file_name(name) and not paths.is_there(paths.without_column(name), "file"):
            said = f"clean.decontaminate: there is no file {name}"
            hint = "a benchmark's name has no slash and no suffix, e.g. mt_bench"
            yield view.problem("mixture.clean.decontaminate", said, hint)


def _streaming(view: View) -> Iterator[Finding]:
    """Streaming reads a Hub data set from its beginning, as far as a count of rows says."""
    mixture = view.recipe.mixture
    for role, sources in (("sources", mixture.sources), ("eval", mixture.eval)):
        for index, source in enumerate(sources):
            key = f"mixture.{role}.{index}"
            if not source.streaming:
                continue
            if _is_local(source):
                said = f"streaming has no effect: {source.label} is no Hub data set, and files are never read whole"
                yield view.note(f"{key}.streaming", said)
            elif source.rows is None:
                said = f"streaming: how far {source.label} is to be read is not said"
                yield view.problem(f"{key}.streaming", said, "rows: 10000 reads its first 10,000 rows")


def answers(view: View) -> Iterator[Finding]:
    """Lengths that leave room for an answer."""
    longest, prompt = view.get("max_length"), view.get("max_prompt_length")
    if prompt is not None and "packing" in view.fields:
        said = "max_prompt_length has no effect here: rows are cut at max_length as wholes; it is for preference tasks"
        yield view.note("max_prompt_length", said)
        return
    if longest is not None and prompt is not None and prompt >= longest:
        said = f"max_prompt_length: {prompt} leaves no room for an answer within max_length {longest}: it has no effect"
        yield view.note("max_prompt_length" if "max_prompt_length" in view.recipe.origins else "max_length", said)


def sequences(view: View) -> Iterator[Finding]:
    """Packing, padding and loss masks that these rows can have."""
    if "packing" not in view.fields:
        return
    if view.get("packing") and view.get("max_length") is None:
        said = "packing fills sequences up to max_length, and max_length is null"
        yield view.problem("max_length", said, "max_length: 2048")
    if view.get("padding_free") and not view.get("packing") and view.get("max_length") is not None:
        said = "padding_free without packing does not cut at max_length"
        yield view.problem("padding_free", said, "packing: true, or max_length: null")
    if view.get("packing") and view.get("train_sampling_strategy") == "group_by_length":
        yield view.note(
            "train_sampling_strategy", "grouping by length has no effect: packed sequences are equally long"
        )
    for source, _ in view.sources():
        if view.get("assistant_only_loss") and _is_text(source):
            said = f"assistant_only_loss: {source.label} is plain text, without turns"
            yield view.problem("assistant_only_loss", said, "assistant_only_loss: false")
        if view.get("completion_only_loss") and (_is_text(source) or source.layout in ("messages", "sharegpt")):
            said = f"completion_only_loss: {source.label} has no prompt and completion"
            hint = "" if _is_text(source) else "assistant_only_loss: true is the switch for conversations"
            yield view.problem("completion_only_loss", said, hint)


def evaluation(view: View) -> Iterator[Finding]:
    """Evaluation and rows to evaluate on go together."""
    if "mixture" in view.unread:
        return
    mixture, strategy = view.recipe.mixture, view.get("eval_strategy", "no")
    own = [index for index, source in enumerate(mixture.sources) if source.held_out]
    rows = bool(mixture.eval) or mixture.held_out is not None or bool(own)
    if mixture.sources and strategy != "no" and not rows:
        hint = "mixture.held_out: 0.05, or mixture.eval: with a source" if view.is_native else "name a test split"
        yield view.problem("eval_strategy", f"eval_strategy: {strategy}, but there are no rows to evaluate on", hint)
    if mixture.eval and mixture.held_out is not None:
        yield view.problem("mixture.held_out", "mixture.eval and mixture.held_out are both given", "keep one")
    if view.is_native and rows and strategy == "no" and not view.get("do_eval"):
        key = f"mixture.sources.{own[0]}.held_out" if own else "mixture.eval.0.path"
        key = "mixture.held_out" if mixture.held_out is not None else key
        said = "rows for evaluation are set aside and never used: eval_strategy is no"
        yield view.note(key, f"{said} (eval_strategy: epoch, or do_eval: true)")
    if not rows and mixture.sources:
        for key in ("do_eval", "eval_on_start"):
            if view.chosen.get(key):
                yield view.problem(key, f"{key}: true, but there are no rows to evaluate on")
    if strategy == "no" and view.get("lr_scheduler_type") in ("reduce_lr_on_plateau", "greedy"):
        said = f"lr_scheduler_type: {view.get('lr_scheduler_type')} follows the evaluation, and eval_strategy is no"
        yield view.problem("lr_scheduler_type", said, "eval_strategy: steps")


def _identity(source: Source) -> tuple[Any, ...]:
    return source.path, source.config, source.split, source.revision, source.data_files, source.where


def _is_local(source: Source) -> bool:
    path = source.path
    return (
        paths.is_there(path)
        or path.startswith("pkg://")
        or glob.has_magic(path)
        or path.lower().endswith((*_TEXT_SUFFIXES, *_DATA_SUFFIXES))
    )


def _is_text(source: Source) -> bool:
    return source.layout == "text" or (source.layout is None and source.path.lower().endswith(_TEXT_SUFFIXES))
