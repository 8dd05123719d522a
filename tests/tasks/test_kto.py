from __future__ import annotations

import pytest

from align_cli.tasks.kto import balance


@pytest.mark.parametrize(("good", "bad", "does"), [(12, 0, "raises"), (0, 12, "lowers")])
def test_one_kind_of_answers_is_said_to_be_moved_and_not_contrasted(good: int, bad: int, does: str) -> None:
    said = balance(good, bad, desirable_weight=1, undesirable_weight=1)

    assert f"KTO then only {does} them" in said
