"""The transposed product is the product."""

from __future__ import annotations

import pytest

from align_cli.evals.generate.narrow import narrow_products

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("shape", [(1, 24), (7, 24), (2, 5, 24), (3, 1, 24)])
@pytest.mark.parametrize(("out", "bias"), [(10, False), (10, True), (4000, True)])
def test_results_agree_to_rounding(shape, out, bias):
    import torch

    layer = torch.nn.Linear(24, out, bias=bias)
    given = torch.randn(shape)
    expected = layer(given)

    with torch.inference_mode(), narrow_products(layer):
        found = layer(given)

    assert found.shape == expected.shape
    assert found.is_contiguous()
    torch.testing.assert_close(found, expected.detach(), rtol=1e-5, atol=1e-5)


def test_only_plain_layers_of_float32_are_changed_and_all_are_changed_back():
    import torch

    class Own(torch.nn.Linear):
        pass

    model = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2).bfloat16(), Own(2, 2)])

    with narrow_products(model):
        changed = ["forward" in vars(layer) for layer in model]

    assert changed == [torch.backends.mkl.is_available(), False, False]
    assert not any("forward" in vars(layer) for layer in model)
