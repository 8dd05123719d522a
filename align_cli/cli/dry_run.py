"""A dry run as one JSON-able document; the page and `--json` show the same values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from align_cli.launch.host import Host
from align_cli.launch.plan import Plan
from align_cli.mix.describe import SourceFact
from align_cli.recipe.schema import Note, Recipe, Source
from align_cli.recipe.secrets import SECRET_KEYS


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
    """Rows to train and evaluate on as far as counts alone tell: {train, eval, why}.

    None where a count needs the data to be read: a Hub source, TRL's fractions of the mixture, bad rows are only
    found later.
    """
    mixture = recipe.mixture
    num_sources = len(mixture.sources)
    train = _taken(mixture.sources, facts[:num_sources])
    evaluate = _taken(mixture.eval, facts[num_sources:])
    why = ""
    if mixture.combine == "trl" and any(source.fraction is not None for source in mixture.sources):
        train, why = None, "fractions are shares of the whole mixture"
    if train is not None and mixture.held_out and not mixture.eval:
        held = int(mixture.held_out) if mixture.held_out >= 1 else round(train * mixture.held_out)
        train, evaluate = train - held, held
    limit, eval_limit = recipe.get("max_train_samples"), recipe.get("max_eval_samples")
    if limit is not None:
        train = limit if train is None else min(train, limit)
    if eval_limit is not None and evaluate is not None:
        evaluate = min(evaluate, eval_limit)
    if train is not None:
        why = "before malformed rows and rows without trained tokens"
    return {"train": train, "eval": evaluate, "why": why}


def _taken(sources: Sequence[Source], facts: Sequence[SourceFact]) -> int | None:
    """Rows that all sources give together; None if one of them is not known."""
    total = 0
    for source, fact in zip(sources, facts, strict=True):
        if fact.available is None:
            return source.rows if source.rows is not None and len(sources) == 1 else None
        taken = fact.available if source.fraction is None else int(source.fraction * fact.available)
        total += taken if source.rows is None else min(taken, source.rows)
    return total


def _mixture(recipe: Recipe, facts: Sequence[SourceFact]) -> dict[str, Any]:
    mixture = recipe.mixture
    num_sources = len(mixture.sources)
    return {
        "combine": mixture.combine,
        "seed": mixture.seed,
        "held_out": mixture.held_out,
        "on_bad_rows": mixture.on_bad_rows,
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
            "fraction": source.fraction,
            "rows": source.rows,
            "origin": _origin(recipe, f"mixture.{role}.{index}"),
        }
        for index, (source, fact) in enumerate(zip(sources, facts, strict=True))
    ]


def _origin(recipe: Recipe, path: str) -> str:
    """Where a source was written: the place of its path, else of the key that old recipes name their data with."""
    origin = recipe.origins.get(f"{path}.path") or recipe.origins.get(path) or recipe.origins.get("mixture")
    return str(origin) if origin else ""
