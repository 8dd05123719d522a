"""Which battle comes next."""

from __future__ import annotations

import math

import pytest

from align_cli.evals.arena.ballots import Ballot
from align_cli.evals.arena.serve.choosing import Choice, Choosing
from align_cli.evals.arena.serve.material import material
from align_cli.evals.arena.serve.pairing import Pairing
from tests.evals.arena.serve.arenas import NAMES, answered, stored

SECRET = b"s" * 32


def choosing(count: int = 12, overlap: float = 0.0, names=NAMES) -> tuple[Choosing, Pairing]:
    pairing = Pairing(names)
    return Choosing(stored(count, names), pairing, SECRET, overlap), pairing


def taken(made: Choosing, rater: int, number: int) -> list[Choice]:
    """What a rater is shown, one after the other."""
    found = []
    for place in range(number):
        choice = made.next(rater)
        if choice is None:
            break
        made.remember([Ballot(id=f"{rater}/{place}", rater=rater, origin="stored", item=choice.item,
                              model_a=choice.model_a, model_b=choice.model_b)])  # fmt: skip
        found.append(choice)
    return found


def test_no_item_comes_twice_to_a_rater_and_all_come() -> None:
    made, _ = choosing(12, 0.25)

    found = taken(made, 1, 99)

    assert sorted(choice.item for choice in found) == sorted(f"q{number}" for number in range(12))


def test_raters_share_items_pairs_and_their_order() -> None:
    made, _ = choosing(20, 0.2)

    seen = [{one.item: {one.model_a, one.model_b} for one in taken(made, rater, 10)} for rater in (1, 2, 3)]

    shared = set.intersection(*(set(one) for one in seen))
    assert len(shared) >= 2
    assert all(seen[0][item] == seen[1][item] == seen[2][item] for item in shared)


def test_without_overlap_items_are_spread() -> None:
    made, _ = choosing(12)

    first, second = ({one.item for one in taken(made, rater, 6)} for rater in (1, 2))

    assert first & second == set()


def test_the_least_certain_of_equal_pairs_comes_next() -> None:
    made, pairing = choosing()
    for pair in ((NAMES[0], NAMES[1]), (NAMES[0], NAMES[2])):
        for _ in range(10):
            pairing.voted(*pair, "tie")

    found = made.next(1)

    assert found is not None
    assert {found.model_a, found.model_b} == {NAMES[1], NAMES[2]}


def test_near_models_come_before_far_ones() -> None:
    _, pairing = choosing()
    for first, second in ((NAMES[0], NAMES[1]), (NAMES[0], NAMES[2]), (NAMES[1], NAMES[2])):
        winner = "tie" if {first, second} == set(NAMES[1:]) else "model_a"
        pairing.voted(first, second, winner, 20)

    assert pairing.gain(NAMES[1], NAMES[2]) > pairing.gain(NAMES[0], NAMES[2])


def test_open_battles_count_so_that_raters_at_once_get_different_pairs() -> None:
    _, pairing = choosing()
    before = pairing.gain(NAMES[0], NAMES[1])

    pairing.opened(NAMES[0], NAMES[1])
    assert pairing.gain(NAMES[0], NAMES[1]) < before
    pairing.opened(NAMES[0], NAMES[1], -1)

    assert pairing.gain(NAMES[0], NAMES[1]) == pytest.approx(before)


def test_the_first_gain_is_as_by_hand() -> None:
    # No votes: Σ = 4 I, p = ½; log(1 + ¼ · (4 + 4)) = log 3.
    _, pairing = choosing()

    assert pairing.gain(NAMES[0], NAMES[1]) == pytest.approx(math.log(3))


def test_only_pairs_that_both_answered_are_shown() -> None:
    given = material([answered(NAMES[0], items=[0, 1, 2]), answered(NAMES[1], items=[0, 1]),
                      answered(NAMES[2], items=[2, 5])])  # fmt: skip
    made = Choosing(given, Pairing(given.models), SECRET, 0.5)

    found = taken(made, 1, 9)

    assert {one.item: {one.model_a, one.model_b} for one in found} == {
        "q0": {NAMES[0], NAMES[1]}, "q1": {NAMES[0], NAMES[1]}, "q2": {NAMES[0], NAMES[2]},
    }  # fmt: skip
