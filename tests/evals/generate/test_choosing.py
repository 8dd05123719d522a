"""What a generation config asks for, near ties, and logits that mean nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from align_cli.errors import LaunchError
from align_cli.evals.generate import choosing
from align_cli.evals.generate.choosing import Chooser
from align_cli.evals.generate.streams import Stream

pytestmark = pytest.mark.slow


@dataclass
class Row:
    temperature: float = 0.0
    tokens: list[int] = field(default_factory=lambda: [1, 2])
    near_ties: int = 0
    stream: Stream = field(default_factory=lambda: Stream(0))

    @property
    def is_greedy(self) -> bool:
        return self.temperature == 0.0


def chooser(dtype="float32", **rules):
    import torch
    from transformers import GenerationConfig

    return Chooser("small", GenerationConfig(**rules), getattr(torch, dtype))


def test_the_likeliest_token_is_taken_and_near_ties_are_counted():
    import torch

    logits = torch.full((3, 100), -5.0)
    logits[0, 7], logits[0, 8] = 20.0, 19.9
    logits[1, 9], logits[1, 8] = 20.0, 20.0 - 1e-5
    logits[2, 4] = logits[2, 6] = 20.0
    rows = [Row(), Row(), Row()]

    tokens = chooser().choose(logits, rows)

    assert tokens == [7, 9, 4]
    assert [row.near_ties for row in rows] == [0, 1, 1]


def test_near_ties_are_as_wide_as_a_dtypes_rounding():
    import torch

    # 4 roundings of bfloat16 (2^-7 of the value each) at 16: 0.5. 64 of float32 (2^-23): 0.000122.
    best, second = torch.tensor([16.0, 16.0]), torch.tensor([15.625, 15.375])

    assert choosing.is_near_tie(best, second, torch.bfloat16).tolist() == [True, False]
    assert choosing.is_near_tie(best, second, torch.float32).tolist() == [False, False]
    assert choosing.is_near_tie(best, best - torch.tensor([1.2e-4, 1.3e-4]), torch.float32).tolist() == [True, False]


def test_sampled_rows_have_no_near_ties():
    import torch

    row = Row(temperature=1.0)

    chooser().choose(torch.zeros(1, 100), [row])

    assert row.near_ties == 0


def test_fifty_tokens_are_sampled_from_where_a_config_says_nothing():
    import torch
    from transformers import GenerationConfig

    probabilities = chooser().probabilities(torch.arange(200.0)[None] / 100, 0.7)

    assert int((probabilities > 0).sum()) == 50
    assert choosing.top_k(GenerationConfig()) == GenerationConfig._get_default_generation_params()["top_k"]
    assert choosing.top_k(GenerationConfig(top_k=0)) == 0


def test_what_generate_does_by_default_is_known():
    from transformers import GenerationConfig

    defaults = GenerationConfig._get_default_generation_params()

    assert choosing.unknown(GenerationConfig()) == []
    assert choosing.unknown(GenerationConfig(**defaults)) == []


@pytest.mark.parametrize(
    "rules",
    [
        {"num_beams": 4},
        {"min_new_tokens": 5},
        {"sequence_bias": {(5,): 2.0}},
        {"guidance_scale": 1.5},
        {"stop_strings": ["x"]},
        {"renormalize_logits": True},
        {"something_new": 1},
    ],
)
def test_what_is_not_known_is_named(rules):
    from transformers import GenerationConfig

    (name,) = rules

    (named,) = choosing.unknown(GenerationConfig(**rules))

    assert named.startswith(f"{name}=")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_no_numbers_are_refused(value):
    import torch

    logits = torch.zeros(2, 10)
    logits[1, 3] = value

    with pytest.raises(LaunchError, match="small: the model computes logits that are no numbers"):
        chooser().choose(logits, [Row(), Row()])
