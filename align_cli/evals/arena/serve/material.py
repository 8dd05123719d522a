"""What stored answers are voted on: items, and each model's whole answer to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from align_cli.errors import Problem, UsageError
from align_cli.evals.arena import leaks
from align_cli.evals.arena.battles import Battle
from align_cli.files import digest_of

Pair = tuple[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """What all models were asked: the person's turns."""

    id: str
    prompts: tuple[str, ...]
    category: str = ""

    @property
    def key(self) -> str:
        """The same for the same words, whatever a file calls them."""
        return digest_of(list(self.prompts))[:32]


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A model and what it said: one text a turn, by the item's key."""

    name: str
    items: Mapping[str, Item]
    answers: Mapping[str, tuple[str, ...]]
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Material:
    """Items that at least two models have answered."""

    models: tuple[str, ...]
    items: Mapping[str, Item]
    """By id, which the battles keep."""
    answers: Mapping[str, Mapping[str, tuple[str, ...]]]
    """By model and the item's id."""
    pairs: Mapping[str, tuple[Pair, ...]]
    """Which pairs have answered an item, by its id."""
    notes: Sequence[str] = field(default=())

    def said(self, item: str, model: str) -> list[dict[str, str]]:
        """The conversation with a model, as a battle keeps it."""
        return _said(self.items[item].prompts, self.answers[model][item])


def material(
    answered: Sequence[Answered], *, without_identities: bool = False, categories: Sequence[str] = ()
) -> Material:
    """What several models have in common. Items are one where their words are, whatever their ids.

    `without_identities` leaves out answers that name a model; `categories` are the only ones that are taken.

    Raises:
        UsageError: fewer than two models, two of one name, or a model that shares no item with any other.
    """
    if len(answered) < 2:
        raise UsageError("a battle needs two models", hint="align eval arena serve A B [C …]")
    names = [one.name for one in answered]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(
            f"two models are called {', '.join(twice)}", hint=f"give one a name of its own: other={twice[0]}"
        )
    named = _leaks(answered)
    left = {
        one.name: {
            key: words
            for key, words in one.answers.items()
            if not (without_identities and key in named[one.name])
            and (not categories or one.items[key].category in categories)
        }
        for one in answered
    }
    if categories and not any(left.values()):
        known = dict.fromkeys(item.category for one in answered for item in one.items.values() if item.category)
        raise UsageError(
            f"no item is of the category {', '.join(categories)}", hint=f"there are {', '.join(known) or 'none'}"
        )
    alone = [
        one for one in answered if not any(left[one.name].keys() & left[o.name].keys() for o in answered if o != one)
    ]
    if alone:
        raise UsageError(
            "there is nothing to vote on",
            problems=[
                Problem(f"it has {len(left[one.name]):,} answered items, and no other model has answered one of them",
                        one.name)
                for one in alone
            ],
            hint="items are the same where the person's words are; were the models asked the same questions?",
        )  # fmt: skip
    items, ids = _items(answered, left)
    answers = {name: {ids[key]: words for key, words in found.items() if key in ids} for name, found in left.items()}
    pairs = {
        item: tuple(pair for pair in combinations(names, 2) if all(item in answers[name] for name in pair))
        for item in items
    }
    notes = [note for one in answered for note in one.notes]
    return Material(
        models=tuple(names),
        items=items,
        answers=answers,
        pairs=pairs,
        notes=[*notes, *_partial(answers, items), *_told(named, without=without_identities)],
    )


def _items(
    answered: Sequence[Answered], left: Mapping[str, Mapping[str, object]]
) -> tuple[dict[str, Item], dict[str, str]]:
    """Items of two models or more, by id, and each key's id. Ids that stand for several texts get a tail."""
    known = {key: item for one in reversed(answered) for key, item in one.items.items()}
    shared = [key for key in known if sum(key in found for found in left.values()) > 1]
    taken: dict[str, str] = {}
    for key in shared:
        wanted = known[key].id
        taken[key] = wanted if wanted and wanted not in taken.values() else f"{wanted or 'item'}-{key[:8]}"
    order = sorted(shared, key=lambda key: _natural(taken[key]))
    items = {taken[key]: Item(id=taken[key], prompts=known[key].prompts, category=known[key].category) for key in order}
    return items, taken


def _natural(text: str) -> list[tuple[int, int | str]]:
    """`q9` before `q10`."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", text) if part]


def _partial(answers: Mapping[str, Mapping[str, object]], items: Mapping[str, Item]) -> Iterable[str]:
    for name, found in answers.items():
        if len(found) < len(items):
            yield f"{name} takes part in {len(found):,} of {len(items):,} items: of the others it has no whole answer"


def _told(named: Mapping[str, set[str]], *, without: bool) -> Iterable[str]:
    for name, found in named.items():
        if found:
            done = "left out" if without else "a rater may know who speaks (--leave-out-leaks leaves them out)"
            yield f"{name}: {len(found):,} answers name a model: {done}"


def _leaks(answered: Sequence[Answered]) -> dict[str, set[str]]:
    """Keys of answers in which a model, or its maker, is named that the person did not name first; by model."""
    names = [one.name for one in answered]
    said = [
        Battle(
            id=f"{number} {key}", model_a=one.name, model_b=names[number - 1], winner="tie",
            turns_a=tuple(_said(one.items[key].prompts, texts)),
        )
        for number, one in enumerate(answered)
        for key, texts in one.answers.items()
    ]  # fmt: skip
    found: dict[str, set[str]] = {name: set() for name in names}
    for told in leaks.leaks_of(said).battles:
        number, _, key = told.partition(" ")
        found[names[int(number)]].add(key)
    return found


def _said(prompts: Sequence[str], answers: Sequence[str]) -> list[dict[str, str]]:
    turns = zip(prompts, answers, strict=True)
    roles = ("user", "assistant")
    return [{"role": role, "content": words} for turn in turns for role, words in zip(roles, turn, strict=True)]
