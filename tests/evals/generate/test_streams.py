"""A question's random numbers: torch's own draws, whoever draws beside."""

from __future__ import annotations

import pytest

from align_cli.evals.generate.streams import Stream

pytestmark = pytest.mark.slow


def _probabilities(width, possible, seed):
    import torch

    logits = torch.randn(width, generator=torch.Generator().manual_seed(seed))
    logits[logits.topk(width - possible, largest=False).indices] = float("-inf")
    return logits.softmax(0)


@pytest.mark.parametrize(("width", "possible"), [(49_152, 50), (1000, 1), (1000, 1000), (7, 3)])
def test_draws_are_those_of_multinomial_after_manual_seed(width, possible):
    import torch

    each = [_probabilities(width, possible, seed) for seed in range(40)]
    torch.manual_seed(11)
    expected = [int(torch.multinomial(one, 1)) for one in each]

    stream = Stream(11)

    assert [stream.draw(one) for one in each] == expected


def test_a_stream_goes_on_where_it_was_left():
    each = [_probabilities(500, 50, seed) for seed in range(30)]
    whole = Stream(5)
    drawn = [whole.draw(one) for one in each]

    rest = Stream(5, drawn=12)

    assert [rest.draw(one) for one in each[12:]] == drawn[12:]


def test_two_streams_do_not_disturb_each_other_nor_torchs_own():
    import torch

    one = _probabilities(500, 50, 0)
    alone = Stream(1)
    expected = [alone.draw(one) for _ in range(10)]
    state = torch.get_rng_state()

    first, second = Stream(1), Stream(2)
    mixed = [(first.draw(one), second.draw(one))[0] for _ in range(10)]

    assert mixed == expected
    assert torch.equal(torch.get_rng_state(), state)


def test_a_torch_that_draws_otherwise_is_asked_itself(monkeypatch):
    import torch

    from align_cli.evals.generate import streams

    monkeypatch.setattr(streams, "_is_known", lambda width: False)
    each = [_probabilities(300, 20, seed) for seed in range(10)]
    torch.manual_seed(3)
    expected = [int(torch.multinomial(one, 1)) for one in each]

    stream, rest = Stream(3), Stream(3, drawn=4)

    assert [stream.draw(one) for one in each] == expected
    assert [rest.draw(one) for one in each[4:]] == expected[4:]
