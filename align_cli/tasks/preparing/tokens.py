"""Rows of the mixture become the tokens that the trainer reads, once, in the store.

The store is addressed by everything that decides the tokens (mixture, tokenizer, template, settings, code), so a
second run finds them and loads nothing. Ids, labels and where an answer begins are those of TRL's trainers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from align_cli.errors import DataError, LaunchError
from align_cli.files import build_once, cache_root, digest_of, digest_of_file, read_json, write_json, write_text
from align_cli.mix.build import Build, build
from align_cli.models.tokenizer import Tokenizer
from align_cli.recipe.schema import Mixture, Recipe
from align_cli.tasks.preparing import vocabulary
from align_cli.tasks.preparing.answers.answering import Answering
from align_cli.tasks.preparing.answers.splits import AnswerWork
from align_cli.tasks.preparing.findings import sentences
from align_cli.tasks.preparing.measure import measure
from align_cli.tasks.preparing.rendering import Renderer
from align_cli.tasks.preparing.sequences.splits import Split, Work
from align_cli.tasks.preparing.settings import Chosen, Settings, check, choose
from align_cli.tasks.preparing.statistics import sample
from align_cli.tasks.preparing.streams import columns_of, is_conversational
from align_cli.tasks.task import Prepared, RowKind, Shape, Task

#: Raise when equal inputs give other tokens or another report.
_CODE = 3
#: What one row of `train.arrow` is.
_UNITS: dict[Shape, str] = {"sequences": "sequences", "pairs": "pairs", "judged": "answers", "scored": "pairs"}
#: What the loss covers, where no mask says it.
_LOSSES: dict[Shape, str] = {"pairs": "answers", "judged": "answers", "scored": "score"}
#: Files of a tokenizer whose digests the document of inputs names.
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")


def prepare_for(task: Task, recipe: Recipe, model: Path, *, say: Callable[[str], None] = lambda line: None) -> Prepared:
    """The recipe's rows as the task trains on them: by its own way of preparing, or as tokens in its shape.

    Raises: as `prepare`.
    """
    if task.prepare is not None:
        return task.prepare(recipe, model, say=say)
    return prepare(recipe, model, kinds=task.rows, shape=task.shape, say=say)


def prepare(
    recipe: Recipe,
    model: Path,
    *,
    kinds: tuple[RowKind, ...],
    shape: Shape = "sequences",
    say: Callable[[str], None] = lambda line: None,
) -> Prepared:
    """The recipe's rows as `train.arrow` and `eval.arrow` in a folder of the store, as token ids in this shape.

    The folder also holds `report.json`, `inputs.json` (everything that decides the tokens, by readable names: its
    digest names the folder) and, for conversations, `chat_template.jinja`: the template to save with the model.
    `report` says what was done, see docs/explanation/loss-masks.md.

    Raises:
        RecipeError: template, tokenizer or settings do not fit the rows.
        DataError: rows the template refuses, no trained token anywhere, or an evaluation split that ends up empty.
    """
    chosen = choose(recipe, model, say=say)
    about_tokens = vocabulary.check(recipe, chosen, model)
    counts = measure(recipe, chosen) if counts_tokens(recipe.mixture) else None
    mixture = build(recipe.mixture, kinds, measure=counts, say=say)
    made_of = inputs(mixture.digest, chosen, shape)
    digest = digest_of(made_of)
    folder = cache_root() / "tokens" / digest[:32]
    try:
        from_store = build_once(folder, lambda made: _make(made, mixture, chosen, shape, made_of, say))
    except OSError as cause:
        why = cause.strerror or str(cause)
        hint = "free some space, or set ALIGN_CACHE to a folder with more"
        raise LaunchError(f"{folder.parent}: the tokens cannot be written: {why}", hint=hint) from cause
    report = _named(read_json(folder / "report.json"), mixture)
    sequences = report["sequences"]
    return Prepared(
        folder=folder,
        digest=digest,
        num_train=sequences["train"],
        num_eval=sequences["eval"],
        report={"mixture": dict(mixture.report), **report, "notes": [*report["notes"], *about_tokens]},
        from_store=from_store,
    )


def inputs(mixture: str, chosen: Chosen, shape: Shape = "sequences") -> dict[str, Any]:
    """Everything that decides the tokens of the mixture with this digest, JSON-able, by readable names."""
    tokenizer, settings = chosen.tokenizer, chosen.settings
    return {
        "mixture": mixture,
        "shape": shape,
        "tokenizer": {
            "files": _files_of(tokenizer),
            "special tokens": dict(tokenizer.special),
            "added tokens": list(tokenizer.added),
            "digest": tokenizer.digest,
        },
        "template": chosen.template.digest if chosen.template else None,
        "settings": asdict(settings),
        "versions": {
            "tokenizers": version("tokenizers"),
            # Its templates with markers may stand in for the model's.
            "trl": version("trl") if settings.assistant_only_loss else None,
            "align's preparation": _CODE,
        },
    }


def counts_tokens(mixture: Mixture) -> bool:
    """Whether some amount is given in tokens, so that rows must be measured while they are mixed."""
    return mixture.tokens is not None or any(one.tokens is not None for one in (*mixture.sources, *mixture.eval))


def _files_of(tokenizer: Tokenizer) -> dict[str, str]:
    folder = tokenizer.file.parent
    return {name: digest_of_file(folder / name) for name in _TOKENIZER_FILES if (folder / name).is_file()}


def _make(
    made: Path,
    mixture: Build,
    chosen: Chosen,
    shape: Shape,
    made_of: Mapping[str, Any],
    say: Callable[[str], None],
) -> None:
    """Fill the store's new folder: both splits, their report, and the template."""
    settings = chosen.settings
    train = mixture.folder / "train.arrow"
    columns = columns_of(train)
    conversational = is_conversational(train)
    check(chosen, columns, conversational=conversational)
    renderer = chosen.renderer(columns, conversational=conversational)
    if shape != "sequences":
        renderer = replace(renderer, loss="completion")
    stop = chosen.stop_token(renderer, conversational=conversational)
    say(f"tokens: preparing {mixture.num_train:,} rows")
    sources = mixture.report.get("sources", ())
    work: Work | AnswerWork
    if shape == "sequences":
        work = Work(chosen=chosen, renderer=renderer, conversational=conversational, sources=sources)
    else:
        answering = Answering.of(chosen, columns, conversational=conversational)
        work = AnswerWork(form=shape, answering=answering, sources=sources)
    splits = {"train": work.split(train, made / "train.arrow", limit=settings.max_train_samples, evaluation=False)}
    if mixture.num_eval:
        splits["eval"] = work.split(
            mixture.folder / "eval.arrow", made / "eval.arrow", limit=settings.max_eval_samples, evaluation=True
        )
    for name, split in splits.items():
        _demand_tokens(name, split, settings)
    if chosen.template and conversational:
        write_text(made / "chat_template.jinja", chosen.template.text)
    report = _report(splits, chosen, renderer, sources, conversational=conversational, shape=shape)
    if shape != "scored":  # a score is given to a whole answer, and nothing is learnt of its tokens
        report["stop_token"] = {"text": stop.text, "trained": stop.trained}
    report["notes"] = chosen.notes(stop, conversational=conversational)
    report["unit"] = _UNITS[shape]
    report["sample"] = {"segments": sample(made / "train.arrow", chosen.tokenizer)}
    write_json(made / "inputs.json", made_of)
    write_json(made / "report.json", report)


def _demand_tokens(name: str, split: Split, settings: Settings) -> None:
    """Raise unless the split has something to learn from."""
    counted = split.statistics
    if split.sequences and counted.total("in_loss"):
        return
    dropped = counted.all_dropped()
    reasons = "".join(f"; {count:,} left out: {reason}" for reason, count in dropped.items())
    what = "no token would be trained" if name == "train" else "the evaluation split is empty"
    hint = "look at the rows and the chat template"
    if dropped.get("no trained token left at max_length"):
        hint = f"raise max_length (now {settings.max_length})"
    elif split.packed is not None and settings.drop_remainder:
        hint = f"the rows do not fill one sequence of max_length {settings.max_length}: lower it, or give more rows"
    raise DataError(f"{what}: of {counted.total('rows'):,} rows none is left{reasons}", hint=hint)


def _report(
    splits: Mapping[str, Split],
    chosen: Chosen,
    renderer: Renderer,
    sources: Sequence[Mapping[str, Any]],
    *,
    conversational: bool,
    shape: Shape,
) -> dict[str, Any]:
    """What was done, JSON-able; the mixture's own report, the sample and the sentences are added by the callers."""
    settings, train = chosen.settings, splits["train"]
    template = None
    if conversational and chosen.template:
        used = renderer.marked if "assistant" in renderer.loss else chosen.template
        template = {"source": used.source, "digest": used.digest}
    per_source = []
    for number, source in enumerate(sources):
        split = splits.get(source.get("for", "train"))  # held-out rows are none that a source is trained on
        per_source.append(split.statistics.of_source(number) if split else {})
    return {
        "rows": {name: splits[name].statistics.total("kept") if name in splits else 0 for name in ("train", "eval")},
        "sequences": {name: splits[name].sequences if name in splits else 0 for name in ("train", "eval")},
        **train.statistics.as_dict(),
        "per_source": per_source,
        "eval_dropped": splits["eval"].statistics.all_dropped() if "eval" in splits else {},
        "loss": _LOSSES.get(shape, renderer.loss),
        "max_length": settings.max_length,
        "packing": _packing(train, settings),
        "template": template,
        "eos": chosen.tokenizer.eos,
        "pad": chosen.tokenizer.pad,
        "added_tokens": list(chosen.tokenizer.added),
        "tokenizer": str(chosen.tokenizer.folder),
        "findings": train.findings.as_list(),
    }


def _packing(train: Split, settings: Settings) -> dict[str, Any] | None:
    if train.packed is None or not settings.max_length:
        return None
    return {
        "strategy": settings.packing,
        "sequences": len(train.packed),
        "fill": round(train.packed.fill(settings.max_length), 4),
        **({"cut_tokens": train.cut_tokens} if train.cut_tokens else {}),
    }


def _named(report: dict[str, Any], mixture: Build) -> dict[str, Any]:
    """A stored report in today's names: the same rows may have been called otherwise when they were prepared."""
    sources = mixture.report.get("sources", ())
    named = [
        {"label": source["label"], **counted} for source, counted in zip(sources, report["per_source"], strict=True)
    ]
    return {**report, "per_source": named, "warnings": sentences(report, sources)}


__all__ = ["counts_tokens", "inputs", "prepare", "prepare_for"]
