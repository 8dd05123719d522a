"""Bytes of each part: published numbers, arithmetic by hand, and laws."""

from __future__ import annotations

from dataclasses import replace

import pytest

from align_cli.launch.memory.activations import kept, of_layer
from align_cli.launch.memory.estimate import estimate
from align_cli.launch.memory.optimisers import bytes_of
from align_cli.launch.memory.shape import Adapter, Shape
from align_cli.launch.memory.work import Work

SMOLLM2 = Shape(
    parameters=134_515_008,
    embedding=28_311_552,
    is_tied=True,
    hidden=576,
    layers=30,
    heads=9,
    key_values=192,
    queries=576,
    intermediate=1536,
    vocabulary=49152,
)


def states(shape: Shape, work: Work, strategy: str, processes: int) -> float:
    found = estimate(shape, work, strategy, "none", processes)
    return found.weights + found.gradients + found.optimizer


@pytest.mark.parametrize(("strategy", "gigabytes"), [("zero1", 31.4), ("zero2", 16.6)])
def test_model_states_are_those_of_the_zero_paper(shape: Shape, work: Work, strategy: str, gigabytes: float) -> None:
    """Rajbhandari et al. 2020, figure 1: 7.5 B parameters, 64 devices, K = 12; the buckets are ours."""
    assert states(shape, work, strategy, 64) / 1e9 == pytest.approx(gigabytes, abs=0.15)


def test_a_layer_in_float32_keeps_what_autograd_was_seen_to_keep(work: Work) -> None:
    """Counted with saved_tensors_hooks on SmolLM2's layer: 9 tensors of 576, 2 of 192 and 4 of 1536 numbers a token."""
    plain = replace(work, weight_bytes=4.0, compute_bytes=4.0, checkpointing=False, device="cpu")

    assert of_layer(SMOLLM2, plain) == 4 * (9 * 576 + 2 * 192 + 4 * 1536)


def test_a_layer_with_an_adapter_keeps_what_autograd_was_seen_to_keep(work: Work) -> None:
    """Likewise with LoRA of rank 16 on queries and values, with dropout: 8 of 576, 2 of 192, 3 of 1536, 2 of 16."""
    adapter = Adapter(parameters=921_600, matrices=2, width=1152, inputs=576, rank=16)
    plain = replace(work, weight_bytes=4.0, compute_bytes=4.0, device="cpu", dropout=True)

    found = of_layer(replace(SMOLLM2, adapter=adapter), plain)

    assert found == 4 * (8 * 576 + 2 * 192 + 3 * 1536 + 2 * 16)


def test_checkpoints_keep_one_layer_and_the_inputs_of_all(shape: Shape, work: Work) -> None:
    assert kept(shape, work).layers == 1024 * (36 * 4096 * 2 + of_layer(shape, work))


@pytest.mark.parametrize("strategy", ["zero1", "zero2", "zero3", "fsdp"])
def test_more_processes_never_need_more_each(shape: Shape, work: Work, strategy: str) -> None:
    totals = [estimate(shape, work, strategy, "none", count).total for count in (2, 4, 8, 64)]

    assert totals == sorted(totals, reverse=True)


def test_what_is_offloaded_lies_in_main_memory(shape: Shape, work: Work) -> None:
    here = estimate(shape, work, "zero2", "none", 8)
    away = estimate(shape, work, "zero2", "optimizer", 8)

    assert away.optimizer == 0
    assert away.host - here.host == pytest.approx(here.optimizer + 4 * shape.parameters / 8)


def test_no_part_is_negative_with_quantised_weights(shape: Shape, work: Work) -> None:
    adapter = Adapter(parameters=10_000_000, matrices=2, width=8192, inputs=4096, rank=16)
    small = replace(work, weight_bytes=0.5)

    for offload in ("none", "optimizer", "all"):
        assert min(estimate(replace(shape, adapter=adapter), small, "zero3", offload, 2).as_dict().values()) >= 0


def test_a_reference_that_is_gone_before_training_costs_only_what_training_does_not(shape: Shape, work: Work) -> None:
    before = estimate(shape, replace(work, reference="before"), "single", "none", 1)
    all_the_time = estimate(shape, replace(work, reference="kept"), "single", "none", 1)

    assert before.reference == 0
    assert all_the_time.reference == 15e9


@pytest.mark.parametrize(
    ("optim", "expected"),
    [("adamw_torch_fused", 8), ("adamw_8bit", 2), ("paged_adamw_8bit", 2), ("lion_8bit", 1), ("sgd", 0), ("new", 8)],
)
def test_an_optimiser_costs_its_states(optim: str, expected: float) -> None:
    assert bytes_of(optim, 4.0) == expected


def test_states_in_the_dtype_of_bf16_weights_are_half_as_large() -> None:
    assert bytes_of("adamw_torch", 2.0) == 4
