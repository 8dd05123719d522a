"""Which two models a vote would tell most about.

Bradley–Terry: P(i beats j) = σ(r_i − r_j), a tie half of each. With the ratings' covariance Σ = H⁻¹,

    H = I/τ² + Σ n_ij p_ij (1 − p_ij) z zᵀ,   z = e_i − e_j,

one more battle of i and j multiplies det H by 1 + p(1−p) zᵀΣz: the pair with the largest logarithm of it is chosen
(D-optimal design; Chaloner & Verdinelli 1995, §2.2). It is the pair whose difference is least certain among those that
are near to each other. Battles that are open count as if they were voted, so that many raters do not get the same pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_PRIOR_VARIANCE = 4.0  # of a rating, in logits: about 350 points of Elo
_STEPS = 8  # of Newton's method, from the last ratings


class Pairing:
    """What the votes so far say."""

    def __init__(self, models: Sequence[str]) -> None:
        import numpy as np

        self._np: Any = np
        self._places = {name: place for place, name in enumerate(models)}
        size = len(models)
        self._score = np.zeros((size, size))  # [i, j]: of i against j
        self._open = np.zeros((size, size))
        self._ratings = np.zeros(size)
        self._gains: Any = None

    def voted(self, model_a: str, model_b: str, winner: str, times: int = 1) -> None:
        """Count a vote, or take one back (`times=-1`); models that are not here do not count."""
        a, b = self._places.get(model_a), self._places.get(model_b)
        if a is None or b is None:
            return
        share = {"model_a": 1.0, "model_b": 0.0}.get(winner, 0.5)
        self._score[a, b] += times * share
        self._score[b, a] += times * (1 - share)
        self._gains = None

    def opened(self, model_a: str, model_b: str, times: int = 1) -> None:
        """Count a battle that somebody is looking at, or no longer is (`times=-1`)."""
        a, b = self._places.get(model_a), self._places.get(model_b)
        if a is None or b is None:
            return
        self._open[a, b] += times
        self._open[b, a] += times
        self._gains = None

    def gain(self, model_a: str, model_b: str) -> float:
        """What one more battle of the two would tell, in nats."""
        if self._gains is None:
            self._gains = self._computed()
        return float(self._gains[self._places[model_a], self._places[model_b]])

    @property
    def votes(self) -> dict[tuple[str, str], int]:
        """How many votes each pair has."""
        names, total = list(self._places), self._score + self._score.T
        return {
            (names[a], names[b]): round(float(total[a, b])) for a in range(len(names)) for b in range(a + 1, len(names))
        }

    def _computed(self) -> Any:
        np = self._np
        games = self._score + self._score.T
        for _ in range(_STEPS):
            chances = self._chances()
            slope = (self._score - games * chances).sum(axis=1) - self._ratings / _PRIOR_VARIANCE
            step = np.linalg.solve(self._information(games, chances), slope)
            self._ratings += np.clip(step, -2, 2)
            if abs(step).max() < 1e-6:
                break
        chances = self._chances()
        covariance = np.linalg.inv(self._information(games + self._open, chances))
        own = np.diag(covariance)
        return np.log1p(chances * (1 - chances) * (own[:, None] + own[None, :] - 2 * covariance))

    def _chances(self) -> Any:
        return 1 / (1 + self._np.exp(self._ratings[None, :] - self._ratings[:, None]))

    def _information(self, games: Any, chances: Any) -> Any:
        np = self._np
        weights = games * chances * (1 - chances)
        return np.diag(weights.sum(axis=1) + 1 / _PRIOR_VARIANCE) - weights
