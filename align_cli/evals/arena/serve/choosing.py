"""What a rater is shown next: an item never seen, the pair that tells most, sides by lot.

Some items are the same for everybody, with the same two models, so that raters can be compared with each other: they
come in one order for all, a share of what each rater sees. The other items are those that fewest have seen.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from align_cli.evals.arena.ballots import Ballot
from align_cli.evals.arena.serve.material import Material, Pair
from align_cli.evals.arena.serve.pairing import Pairing


class Choice(NamedTuple):
    """A battle to come; model A stands on the left."""

    item: str
    model_a: str
    model_b: str


def sides(secret: bytes, item: str, one: str, other: str, rater: int) -> Pair:
    """Who stands on the left: the same for the same item, pair and rater; nobody without the secret can tell."""
    first, second = _sorted(one, other)
    return (first, second) if _lot(secret, "side", item, first, second, rater)[0] & 1 else (second, first)


class Choosing:
    """Items and pairs; what is open and voted is told to it."""

    def __init__(self, material: Material, pairing: Pairing, secret: bytes, overlap: float) -> None:
        self._material, self._pairing, self._secret = material, pairing, secret
        order = sorted(material.items, key=lambda item: self._lot("order", item))
        self._shared = dict.fromkeys(order[: math.ceil(overlap * len(order))])
        self._overlap = overlap
        self._seen: defaultdict[int, set[str]] = defaultdict(set)
        self._times: Counter[str] = Counter()
        self._shared_pairs: dict[str, Pair] = {}
        self._random = random.Random(self._lot("items"))  # noqa: S311 - which of equals comes next is no secret
        self._alike: defaultdict[frozenset[Pair], list[str]] = defaultdict(list)  # items by who has answered them
        for item, pairs in material.pairs.items():
            self._alike[frozenset(_sorted(*pair) for pair in pairs)].append(item)

    def remember(self, ballots: Iterable[Ballot]) -> None:
        """What raters have been shown; the first to see a shared item has its pair chosen for all."""
        for ballot in ballots:
            self._seen[ballot.rater].add(ballot.item)
            self._times[ballot.item] += 1
            if ballot.item in self._shared and {ballot.model_a, ballot.model_b} <= set(self._material.models):
                self._shared_pairs.setdefault(ballot.item, _sorted(ballot.model_a, ballot.model_b))

    def next(self, rater: int) -> Choice | None:
        """What the rater should see; None where nothing is left."""
        seen = self._seen[rater]
        item = self._shared_item(seen)
        if item is not None:
            pair = self._shared_pairs.get(item)
            if pair is None or not self._can(item, pair):
                pair = self._best(self._material.pairs[item], item)
        else:
            groups = self._left(seen, self._shared) or self._left(seen, {})
            if not groups:
                return None
            pair = self._best(frozenset().union(*groups), f"{rater}/{len(seen)}")
            fitting = [name for pairs, names in groups.items() if pair in pairs for name in names]
            times = [self._times[name] for name in fitting]
            fewest = min(times)
            item = self._random.choice([name for name, one in zip(fitting, times, strict=True) if one == fewest])
        return Choice(item, *sides(self._secret, item, *pair, rater))

    def _shared_item(self, seen: set[str]) -> str | None:
        """The next of those that all see, where it is their turn."""
        done = sum(item in seen for item in self._shared)
        if done >= self._overlap * (len(seen) + 1):
            return None
        return next((item for item in self._shared if item not in seen), None)

    def _left(self, seen: set[str], without: Mapping[str, object]) -> dict[frozenset[Pair], list[str]]:
        """Items that are left, by the pairs that have answered them."""
        out = seen.union(without)
        left = {pairs: [item for item in items if item not in out] for pairs, items in self._alike.items()}
        return {pairs: items for pairs, items in left.items() if items}

    def _best(self, pairs: Iterable[Pair], lot: str) -> Pair:
        """Equal ones by lot."""
        return max(pairs, key=lambda pair: (round(self._pairing.gain(*pair), 9), self._lot("pair", lot, *pair)))

    def _can(self, item: str, pair: Pair) -> bool:
        return _sorted(*pair) in {_sorted(*one) for one in self._material.pairs.get(item, ())}

    def _lot(self, *words: object) -> bytes:
        return _lot(self._secret, *words)


def _lot(secret: bytes, *words: object) -> bytes:
    return hmac.digest(secret, "\0".join(map(str, words)).encode("utf-8", "surrogatepass"), hashlib.sha256)


def _sorted(one: str, other: str) -> Pair:
    return (one, other) if one <= other else (other, one)
