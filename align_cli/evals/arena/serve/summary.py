"""How far the raters are, for whoever runs the arena."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from align_cli.evals.arena import store


def summary(path: Path, answers: Any) -> dict[str, Any]:
    """Votes by pair and by rater, of the models that are served now."""
    served = set(answers.models)
    pairs: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    raters: Counter[str] = Counter()
    last: dict[str, float] = {}
    found = store.battles(path)
    for battle in found:
        raters[battle.rater] += 1
        last[battle.rater] = max(battle.tstamp, last.get(battle.rater, 0.0))
        first, second = sorted((battle.model_a, battle.model_b))
        if {first, second} <= served:
            pairs[first, second][_outcome(battle.winner, is_swapped=battle.model_a != first)] += 1
    rows = [
        {"a": first, "b": second, **{key: counts[key] for key in ("a_won", "b_won", "tie", "both_bad")}}
        for (first, second), counts in sorted(pairs.items())
    ]
    return {
        "mode": answers.origin,
        "file": str(path),
        "models": list(answers.models),
        "votes": len(found),
        "items": answers.num_items,
        "pairs": rows,
        "raters": [{"name": name, "votes": votes, "last": last[name]} for name, votes in raters.most_common()],
    }


def _outcome(winner: str, *, is_swapped: bool) -> str:
    if winner in ("tie", "both_bad"):
        return winner
    return "a_won" if (winner == "model_a") != is_swapped else "b_won"
