"""Slots keep what was put into them: grown, copied, swapped, written row by row."""

from __future__ import annotations

import pytest

from align_cli.evals.generate.slots import Aim, Shape, Slots, shapes

pytestmark = pytest.mark.slow


@pytest.fixture
def slots():
    import torch

    shape = Shape(heads=2, key_dim=3, value_dim=4, dtype=torch.float32, device=torch.device("cpu"))
    made = Slots([shape, shape], 3)
    made.reserve(5)
    return made


def _states(slots, rows, tokens):
    import torch

    return torch.randn(rows, 2, tokens, 3), torch.randn(rows, 2, tokens, 4)


def test_a_tokens_bytes_are_those_of_keys_and_values(slots):
    assert slots._shapes[0].bytes == 2 * (3 + 4) * 4


def test_a_prompt_is_kept_while_slots_grow(slots):
    import torch

    keys, values = _states(slots, 1, 4)
    slots.aim = Aim(slot=1)
    slots.cache.update(keys, values, 0)

    slots.reserve(200)

    assert slots.capacity >= 200
    assert torch.equal(slots.keys[0][1, :, :4], keys[0])
    assert torch.equal(slots.values[0][1, :, :4], values[0])
    assert not slots.keys[0][1, :, 4:].any()


def test_pieces_of_a_prompt_join(slots):
    import torch

    (keys, values), (more_keys, more_values) = _states(slots, 1, 2), _states(slots, 1, 3)
    slots.aim = Aim(slot=2)
    slots.cache.update(keys, values, 1)
    slots.aim = Aim(slot=2, start=2)

    seen_keys, seen_values = slots.cache.update(more_keys, more_values, 1)

    assert torch.equal(seen_keys, torch.cat([keys, more_keys], dim=2))
    assert torch.equal(seen_values, torch.cat([values, more_values], dim=2))


def test_a_step_writes_each_row_at_its_own_length(slots):
    import torch

    keys, values = _states(slots, 2, 1)
    slots.aim = Aim(positions=torch.tensor([4, 1]))

    slots.cache.update(keys, values, 0)

    assert torch.equal(slots.keys[0][0, :, 4], keys[0, :, 0])
    assert torch.equal(slots.values[0][1, :, 1], values[1, :, 0])
    assert int((slots.keys[0] != 0).any(-1).any(1).sum()) == 2


def test_slots_are_copied_and_swapped_in_every_layer(slots):
    import torch

    for buffer in (*slots.keys, *slots.values):
        buffer.normal_()
    before = [buffer.clone() for buffer in (*slots.keys, *slots.values)]

    slots.swap(0, 2, 3)
    slots.copy(2, 1, 2)

    for was, now in zip(before, (*slots.keys, *slots.values), strict=True):
        assert torch.equal(now[0, :, :3], was[2, :, :3])
        assert torch.equal(now[2, :, :3], was[0, :, :3])
        assert torch.equal(now[1, :, :2], was[0, :, :2])
        assert torch.equal(now[1, :, 2:], was[1, :, 2:])


def test_a_past_of_another_kind_is_refused():
    from transformers import MambaConfig
    from transformers.cache_utils import DynamicCache

    with pytest.raises(ValueError, match="LinearAttention"):
        shapes(DynamicCache(config=MambaConfig(num_hidden_layers=1)))
