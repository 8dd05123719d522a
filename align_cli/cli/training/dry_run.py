"""A dry run as one JSON-able document; the page and `--json` show the same values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from align_cli.launch.host import Host
from align_cli.launch.plan import Plan
from align_cli.mix.describe import SourceFact
from align_cli.mix.order import amounts, arithmetic
from align_cli.recipe import understood
from align_cli.recipe.schema import Mixture, Note, Recipe, Source
from align_cli.recipe.secrets import SECRET_KEYS

_AMOUNTS = ("where", "fraction", "rows", "tokens", "share", "repeat", "shuffle", "held_out", "system", "streaming")

#: Rows that a dry run chooses to know how many there will be: about a second.
_COUNTED = 2_000_000


def document(
    recipe: Recipe,
    *,
    host: Host,
    plan: Plan,
    facts: Sequence[SourceFact],
    rows: Mapping[str, Any],
    notes: Sequence[Note],
) -> dict[str, Any]:
    """Everything a dry run knows.

    `facts` is what `mix.describe` found about the sources, training ones first, in the mixture's order; `rows` what
    `expected_rows` makes of them; `notes` come beside the recipe's own, e.g. what this host cannot honour.
    """
    return {
        "task": recipe.task,
        "recipe": {
            "path": recipe.path,
            "overrides": list(recipe.overrides),
            "profile": recipe.profile,
            "values": values(recipe),
            "behaviours": dict(recipe.behaviours),
            "defaults": {key: value for key, value in recipe.defaults.items() if key not in recipe.values},
            "env": sorted(recipe.env),
        },
        "notes": [asdict(note) for note in (*recipe.notes, *notes)],
        "mixture": _mixture(recipe, facts),
        "rows": dict(rows),
        "plan": plan.as_dict(),
        "host": host.as_dict(),
    }


def values(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Key -> value, origin and kind of origin, for everything somebody chose; secrets are not shown."""
    return {
        key: {
            "value": "***" if key in SECRET_KEYS else value,
            "origin": str(recipe.origins[key]) if key in recipe.origins else "",
            "kind": recipe.origins[key].kind if key in recipe.origins else "",
        }
        for key, value in recipe.values.items()
    }


def expected_rows(recipe: Recipe, facts: Sequence[SourceFact]) -> dict[str, Any]:
    """Rows to train and evaluate on as far as counts alone tell: {train, eval, why}; `refused`: the amounts cannot be.

    None where the data must be read to know: a Hub source, a condition, a token budget, cleaning (but for HumanEval's
    texts, which few rows hold). What the build will choose is asked of the same arithmetic; bad rows are only found
    later.
    """
    try:
        train, evaluate, why = _counts(recipe.mixture, facts)
    except arithmetic.AmountError as error:
        named = f"{recipe.mixture.sources[error.source].label}: " if error.source is not None else ""
        said = f"{named}{error}; {error.hint}" if error.hint else f"{named}{error}"
        return {"train": None, "eval": None, "why": said, "refused": True}
    limit, eval_limit = recipe.get("max_train_samples"), recipe.get("max_eval_samples")
    if limit is not None:
        train = limit if train is None else min(train, limit)
    if eval_limit is not None and evaluate is not None:
        evaluate = min(evaluate, eval_limit)
    if train is not None:
        of_humaneval = ", rows of HumanEval" if recipe.mixture.clean.decontaminate_humaneval else ""
        why = f"before malformed rows{of_humaneval} and rows without trained tokens"
    return {"train": train, "eval": evaluate, "why": why}


def _counts(mixture: Mixture, facts: Sequence[SourceFact]) -> tuple[int | None, int | None, str]:
    """Training rows, evaluation rows, and why the former are not known."""
    num_sources = len(mixture.sources)
    if understood.of_cleaning(replace(mixture.clean, decontaminate_humaneval=False)):
        return None, None, "cleaning leaves rows out"
    wish = arithmetic.Wish.of(mixture)
    train = None if mixture.tokens is not None else _takes(mixture.sources, facts[:num_sources])
    separate = _takes(mixture.eval, facts[num_sources:])
    if separate is not None and sum(take.available for take in separate) > _COUNTED:
        separate = None
    num_eval = None if separate is None else len(arithmetic.choose_eval(separate, wish).row) if separate else 0
    if train is None:
        holds_out = mixture.held_out is not None or any(source.held_out for source in mixture.sources)
        return mixture.rows, None if holds_out else num_eval, ""  # a total is met or refused
    if mixture.sources and _is_plain(mixture):  # most are, and the arithmetic over row numbers would load numpy
        old = mixture.combine != "native"
        counts = [amounts.limit(take, number, binary=old) for number, take in enumerate(train)]
        held_out = int(mixture.held_out or 0)
        if sum(counts) <= _COUNTED and held_out < sum(counts):
            return sum(counts) - held_out, None if num_eval is None else num_eval + held_out, ""
    if _most_rows(mixture, train) > _COUNTED:
        return mixture.rows, None, "too many rows to choose in a dry run"
    chosen = arithmetic.choose(train, wish)
    return len(chosen.train.row), None if num_eval is None else num_eval + len(chosen.held_out.row), ""


def _takes(sources: Sequence[Source], facts: Sequence[SourceFact]) -> list[arithmetic.Take] | None:
    """What each source offers; None if that is not known of one of them, or if tokens decide."""
    takes = []
    for source, fact in zip(sources, facts, strict=True):
        available = fact.available
        if available is None and source.rows is not None and source.where is None:
            available = source.rows  # as many at least, or the build says that there are fewer
        if available is None or source.tokens is not None or source.where is not None:
            return None
        same = f"{source.path}/{source.config}/{source.split}"
        takes.append(arithmetic.Take(available=available, identity=same, **amounts.wanted(source)))
    return takes


def _is_plain(mixture: Mixture) -> bool:
    """Whether each source gives what its own limit says, once, and a count of rows at most is held out."""
    whole = (mixture.rows, mixture.tokens, mixture.temperature)
    own = [(source.share, source.repeat, source.held_out) for source in mixture.sources]
    counted = mixture.held_out is None or mixture.held_out >= 1
    shares = mixture.combine == "trl" and any(source.fraction is not None for source in mixture.sources)
    return counted and not shares and not any(v is not None for v in (*whole, *sum(own, ())))


def _most_rows(mixture: Mixture, takes: Sequence[arithmetic.Take]) -> float:
    """At least as many rows as the arithmetic would have to hold."""
    offered = sum(take.available * (take.repeat or 1) for take in takes)
    if mixture.rows is not None:
        return max(offered, mixture.rows)
    if not mixture.oversample:
        return offered
    if mixture.temperature is not None:
        return offered * len(takes) if mixture.temperature >= 1 else math.inf
    smallest = min((take.share for take in takes if take.share), default=0.0)
    return offered / smallest if smallest else offered


def _mixture(recipe: Recipe, facts: Sequence[SourceFact]) -> dict[str, Any]:
    mixture = recipe.mixture
    num_sources = len(mixture.sources)
    return {
        "combine": mixture.combine,
        "seed": mixture.seed,
        "held_out": mixture.held_out,
        "rows": mixture.rows,
        "tokens": mixture.tokens,
        "temperature": mixture.temperature,
        "oversample": mixture.oversample,
        "order": mixture.order,
        "clean": understood.chosen_cleaning(mixture.clean),
        "on_bad_rows": mixture.on_bad_rows,
        "understood": understood.of_mixture(mixture),
        "leaves_out": understood.of_cleaning(mixture.clean),
        "sources": _described("sources", recipe, facts[:num_sources]),
        "eval": _described("eval", recipe, facts[num_sources:]),
        "origins": {key: str(origin) for key, origin in recipe.origins.items() if key.startswith("mixture.")},
    }


def _described(role: str, recipe: Recipe, facts: Sequence[SourceFact]) -> list[dict[str, Any]]:
    sources: Sequence[Source] = getattr(recipe.mixture, role)
    return [
        {
            "label": fact.label,
            "path": fact.path,
            "kind": fact.kind,
            "exists": fact.exists,
            "available": fact.available,
            "size": fact.size,
            "layout": fact.layout,
            "split": source.split,
            "take": understood.of_source(source, recipe.mixture),
            **{name: getattr(source, name) for name in _AMOUNTS},
            "origin": _origin(recipe, f"mixture.{role}.{index}"),
        }
        for index, (source, fact) in enumerate(zip(sources, facts, strict=True))
    ]


def _origin(recipe: Recipe, path: str) -> str:
    """Where a source was written: the place of its path, else of the key that old recipes name their data with."""
    origin = recipe.origins.get(f"{path}.path") or recipe.origins.get(path) or recipe.origins.get("mixture")
    return str(origin) if origin else ""
