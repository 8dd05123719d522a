"""Rows of the mixture become the token sequences that the trainer reads, once, in the store.

The store is addressed by everything that decides the tokens (mixture, tokenizer, template, settings, code), so a
second run finds them and loads nothing. Ids and labels are those of TRL's `SFTTrainer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from align_cli.errors import DataError, LaunchError, Problem
from align_cli.files import build_once, cache_root, digest_of, read_json, write_json, write_text
from align_cli.mix.build import Build, build
from align_cli.recipe.schema import Recipe
from align_cli.tasks.encoding import Encoded, encode
from align_cli.tasks.packing import Packed, pack
from align_cli.tasks.rendering import Renderer, Rendering
from align_cli.tasks.settings import Chosen, Settings, check, choose
from align_cli.tasks.statistics import Statistics, sample
from align_cli.tasks.streams import RowBatch, Scratch, TokenWriter, columns_of, is_conversational, read_rows
from align_cli.tasks.task import Prepared, RowKind

#: Raise when equal inputs give other tokens or another report.
_CODE = 1
_SHOWN = 10  # bad rows named in one error


def prepare(
    recipe: Recipe,
    model: Path,
    *,
    kinds: tuple[RowKind, ...],
    say: Callable[[str], None] = lambda line: None,
) -> Prepared:
    """The recipe's rows as `train.arrow` and `eval.arrow` (token ids and labels) in a folder of the store.

    The folder also holds `report.json` and, for conversations, `chat_template.jinja`: the template to save with the
    model. `report` says what was done, see docs/explanation/loss-masks.md.

    Raises:
        RecipeError: template, tokenizer or settings do not fit the rows.
        DataError: rows the template refuses, no trained token anywhere, or an evaluation split that ends up empty.
    """
    mixture = build(recipe.mixture, kinds, say=say)
    chosen = choose(recipe, model, say=say)
    digest = digest_of(
        {
            "mixture": mixture.digest,
            "tokenizer": chosen.tokenizer.digest,
            "template": chosen.template.digest if chosen.template else None,
            "settings": asdict(chosen.settings),
            "tokenizers": version("tokenizers"),
            # Its templates with markers may stand in for the model's.
            "trl": version("trl") if chosen.settings.assistant_only_loss else None,
            "code": _CODE,
        }
    )
    folder = cache_root() / "tokens" / digest[:32]
    try:
        from_store = build_once(folder, lambda made: _make(made, mixture, chosen, say))
    except OSError as cause:
        why = cause.strerror or str(cause)
        hint = "free some space, or set ALIGN_CACHE to a folder with more"
        raise LaunchError(f"{folder.parent}: the tokens cannot be written: {why}", hint=hint) from cause
    report = {"mixture": dict(mixture.report), **read_json(folder / "report.json")}
    sequences = report["sequences"]
    return Prepared(
        folder=folder,
        digest=digest,
        num_train=sequences["train"],
        num_eval=sequences["eval"],
        report=report,
        from_store=from_store,
    )


def _make(made: Path, mixture: Build, chosen: Chosen, say: Callable[[str], None]) -> None:
    """Fill the store's new folder: both splits, their report, and the template."""
    settings = chosen.settings
    train = mixture.folder / "train.arrow"
    columns = columns_of(train)
    conversational = is_conversational(train)
    check(chosen, columns, conversational=conversational)
    renderer = chosen.renderer(columns, conversational=conversational)
    tokenizer = chosen.tokenizer
    stop = chosen.stop_token(renderer, conversational=conversational)
    say(f"tokens: preparing {mixture.num_train:,} rows")
    add_special = settings.add_special_tokens
    work = _Work(
        chosen=chosen,
        renderer=renderer,
        add_special_tokens=not conversational if add_special is None else add_special,
        labels=[source["label"] for source in mixture.report.get("sources", [])],
    )
    splits = {"train": work.split(train, made / "train.arrow", limit=settings.max_train_samples, evaluation=False)}
    if mixture.num_eval:
        splits["eval"] = work.split(
            mixture.folder / "eval.arrow", made / "eval.arrow", limit=settings.max_eval_samples, evaluation=True
        )
    for name, split in splits.items():
        _demand_tokens(name, split, settings)
    if chosen.template and conversational:
        write_text(made / "chat_template.jinja", chosen.template.text)
    report = _report(splits, chosen, renderer, conversational=conversational)
    report["stop_token"] = {"text": stop.text, "trained": stop.trained}
    report["notes"] = chosen.notes(stop, conversational=conversational)
    report["sample"] = {"segments": sample(made / "train.arrow", tokenizer)}
    write_json(made / "report.json", report)


@dataclass(frozen=True, kw_only=True)
class _Split:
    """One split on disk: how many sequences it has, and what was counted on the way."""

    sequences: int
    statistics: Statistics
    packed: Packed | None


@dataclass(frozen=True, kw_only=True)
class _Work:
    """Everything that both splits share."""

    chosen: Chosen
    renderer: Renderer
    add_special_tokens: bool
    labels: list[str]

    def split(self, rows: Path, target: Path, *, limit: int | None, evaluation: bool) -> _Split:
        """Render, tokenise, mask, truncate, drop and pack one split."""
        settings = self.chosen.settings
        strategy = settings.eval_packing if evaluation else settings.packing
        reorder = strategy is not None or settings.shuffle_seed is not None
        statistics = Statistics()
        if not reorder:
            with TokenWriter(target, packed=False) as writer:
                for encoded in self._encoded(rows, limit, statistics, cut=True):
                    writer.write(encoded)
            return _Split(sequences=writer.num_sequences, statistics=statistics, packed=None)
        scratch = Scratch(target.parent)
        for encoded in self._encoded(rows, limit, statistics, cut=strategy in (None, "bfd")):
            scratch.add(encoded)
        return self._reordered(scratch, target, statistics, strategy)

    def _reordered(self, scratch: Scratch, target: Path, statistics: Statistics, strategy: Any) -> _Split:
        """Shuffle as `datasets` does and pack."""
        import numpy as np

        settings = self.chosen.settings
        lengths = scratch.lengths()
        if strategy is None:
            starts = lengths.cumsum() - lengths
            packed = Packed(starts, lengths, np.arange(len(lengths) + 1), separate=False)
        else:
            assert settings.max_length is not None
            packed = pack(lengths, settings.max_length, strategy, drop_remainder=settings.drop_remainder)
        order = None
        if settings.shuffle_seed is not None:
            order = np.random.default_rng(settings.shuffle_seed).permutation(len(packed))
        with TokenWriter(target, packed=packed.separate) as writer:
            scratch.write(packed, writer, order)
        return _Split(
            sequences=writer.num_sequences, statistics=statistics, packed=packed if strategy is not None else None
        )

    def _encoded(self, path: Path, limit: int | None, statistics: Statistics, *, cut: bool) -> Iterator[Encoded]:
        """Batches of encoded rows; one is rendered while the Rust tokenizer, without the GIL, encodes another."""
        append = self.chosen.tokenizer.id_of(self.chosen.tokenizer.eos) if self.chosen.settings.append_eos_id else None
        refused: list[Problem] = []

        def start(batch: RowBatch) -> Future[Encoded]:
            rendering = self.renderer.render(batch.rows)
            statistics.read(len(batch.rows))
            self._note_refused(batch, rendering, refused)
            return pool.submit(
                encode,
                rendering,
                self.chosen.tokenizer,
                add_special_tokens=self.add_special_tokens,
                append=append,
            )

        with ThreadPoolExecutor(1) as pool:
            waiting: Future[Encoded] | None = None
            for batch in read_rows(path, limit=limit):
                following = start(batch)
                if waiting is not None:
                    yield self._kept(waiting.result(), statistics, cut=cut)
                waiting = following
            if waiting is not None:
                yield self._kept(waiting.result(), statistics, cut=cut)
        if refused and not self.chosen.settings.skip_bad_rows:
            raise DataError(
                f"the chat template refuses {len(refused):,} row{'s' if len(refused) > 1 else ''}",
                problems=refused[:_SHOWN],
                hint="repair the rows, choose another chat_template, or set on_bad_rows: skip in the mixture",
            )
        statistics.drop("refused by the chat template", len(refused))

    def _note_refused(self, batch: RowBatch, rendering: Rendering, refused: list[Problem]) -> None:
        for index, reason in rendering.refused:
            source = batch.sources[index]
            label = self.labels[source] if 0 <= source < len(self.labels) else "mixture"
            refused.append(Problem(reason, f"{label}, row {batch.first + index + 1} of the mixture"))

    def _kept(self, encoded: Encoded, statistics: Statistics, *, cut: bool) -> Encoded:
        """Rows after truncation that still hold a trained token; what goes is counted."""
        settings = self.chosen.settings
        statistics.measure(encoded.lengths)
        before = encoded.trained_per_row() > 0
        limit = settings.max_length
        if limit is not None:
            statistics.truncated += int((encoded.lengths > limit).sum()) if cut else 0
            encoded = encoded.truncated(limit, keep_end=settings.keep_end) if cut else encoded
        after = encoded.trained_per_row() > 0
        statistics.drop("no trained token", int((~before).sum()))
        statistics.drop("no trained token left at max_length", int((before & ~after).sum()))
        encoded = encoded.select(after)
        statistics.keep(encoded)
        return encoded


def _demand_tokens(name: str, split: _Split, settings: Settings) -> None:
    """Raise unless the split has something to learn from."""
    counted = split.statistics
    if split.sequences and counted.in_loss:
        return
    reasons = "".join(f"; {reason}: {count:,}" for reason, count in counted.dropped.items())
    what = "no token would be trained" if name == "train" else "the evaluation split is empty"
    hint = "look at the rows and the chat template"
    if counted.dropped.get("no trained token left at max_length"):
        hint = f"raise max_length (now {settings.max_length})"
    elif split.packed is not None and settings.drop_remainder:
        hint = f"the rows do not fill one sequence of max_length {settings.max_length}: lower it, or give more rows"
    raise DataError(f"{what}: of {counted.rows:,} rows none is left{reasons}", hint=hint)


def _report(
    splits: Mapping[str, _Split], chosen: Chosen, renderer: Renderer, *, conversational: bool
) -> dict[str, Any]:
    """What was done, JSON-able; the mixture's own report and the sample are added by the callers."""
    settings, train = chosen.settings, splits["train"]
    template = None
    if conversational and chosen.template:
        used = renderer.marked if "assistant" in renderer.loss else chosen.template
        template = {"source": used.source, "digest": used.digest}
    packing = None
    if train.packed is not None and settings.max_length:
        fill = round(train.packed.fill(settings.max_length), 4)
        packing = {"strategy": settings.packing, "sequences": len(train.packed), "fill": fill}
    return {
        "rows": {name: splits[name].statistics.kept if name in splits else 0 for name in ("train", "eval")},
        "sequences": {name: splits[name].sequences if name in splits else 0 for name in ("train", "eval")},
        **train.statistics.as_dict(),
        "eval_dropped": dict(splits["eval"].statistics.dropped) if "eval" in splits else {},
        "loss": renderer.loss,
        "max_length": settings.max_length,
        "packing": packing,
        "template": template,
        "eos": chosen.tokenizer.eos,
        "pad": chosen.tokenizer.pad,
        "added_tokens": list(chosen.tokenizer.added),
        "tokenizer": str(chosen.tokenizer.folder),
    }


__all__ = ["prepare"]
