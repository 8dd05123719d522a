"""Two processes train what one trains, under every strategy; what they save is whole, and any of them goes on from it.

Losses are compared with one process at the same global batch. Sums are taken in another order: 1e-5 is some ten
roundings of float32 at these losses (about 5.6).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.distributed.conftest import LORA, TWO, Place, cut_back, demand, losses

pytestmark = pytest.mark.slow

STRATEGIES = ("ddp", "fsdp", "zero1", "zero2", "zero3")
CLOSE = 1e-5


@pytest.fixture(scope="module")
def alone(place: Place) -> Path:
    return place.train("gradient_accumulation_steps=2", out="alone")


@pytest.fixture(scope="module")
def alone_with_lora(place: Place) -> Path:
    return place.train("gradient_accumulation_steps=2", *LORA, out="alone-lora")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_processes_train_what_one_does_and_save_a_whole_model(strategy: str, place: Place, alone: Path):
    import torch
    from transformers import AutoModelForCausalLM

    demand(strategy)
    run = place.train(*TWO, "--strategy", strategy, out=strategy)

    assert losses(run) == pytest.approx(losses(alone), abs=CLOSE)
    ours, theirs = (AutoModelForCausalLM.from_pretrained(folder) for folder in (run, alone))
    weights = dict(theirs.named_parameters())
    for name, value in ours.named_parameters():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, weights[name], atol=1e-4, rtol=0)
    assert not list(run.glob("*zero_to_fp32*"))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_adapter_goes_on_with_one_process_and_ends_where_it_would_have(
    strategy: str, place: Place, alone_with_lora: Path
):
    demand(strategy)
    run = place.train(*TWO, "--strategy", strategy, *LORA, out=f"{strategy}-lora")
    cut = cut_back(run, 3)

    if strategy == "zero3":
        refused = place.run("--strategy", strategy, *LORA, "--keep-global-batch", f"output_dir={cut}")
        assert refused.returncode == 2
        assert "launch.num_processes=2 goes on from it" in refused.stderr
        place.train(*TWO, "--strategy", strategy, *LORA, out=cut.name)
    else:
        place.train("--num-processes", "1", "--strategy", strategy, *LORA, "--keep-global-batch", out=cut.name)

    assert losses(run) == pytest.approx(losses(alone_with_lora), abs=CLOSE)
    assert losses(cut) == pytest.approx(losses(run), abs=CLOSE)
    assert (cut / "adapter_model.safetensors").stat().st_size == (run / "adapter_model.safetensors").stat().st_size


def test_from_two_processes_to_one_and_back_is_the_same_run(place: Place, alone: Path):
    whole = place.train(*TWO, "save_steps=2", out="back")
    cut = cut_back(whole, 2)

    refused = place.run("--num-processes", "1", "save_steps=2", f"output_dir={cut}")
    place.train("--num-processes", "1", "save_steps=2", "--keep-global-batch", out=cut.name)
    again = cut_back(cut, 4)
    place.train(*TWO, "save_steps=2", out=again.name)

    assert refused.returncode == 2
    assert "was 4 rows a step, is now 2" in refused.stderr
    assert losses(again) == pytest.approx(losses(alone), abs=CLOSE)


def test_a_checkpoint_does_not_go_on_under_another_strategy(place: Place):
    run = place.train(*TWO, "--strategy", "fsdp", out="shared-out")
    cut = cut_back(run, 3)

    done = place.run(*TWO, "--strategy", "ddp", f"output_dir={cut}")

    assert done.returncode == 2
    assert "checkpoint-3 was saved under fsdp" in done.stderr


@pytest.mark.parametrize("strategy", ["ddp", "fsdp", "zero3"])
def test_dpo_on_two_processes_has_the_reference_and_the_losses_of_one(strategy: str, place: Place):
    demand(strategy)
    if not (place.folder / "dpo-alone").exists():
        place.train("gradient_accumulation_steps=2", out="dpo-alone", task="dpo", recipe="pairs.yaml")
    shutil.rmtree(place.folder / "cache" / "reference")

    run = place.train(*TWO, "--strategy", strategy, out=f"dpo-{strategy}", task="dpo", recipe="pairs.yaml")

    assert losses(run)[1] == pytest.approx(0.693147, abs=1e-5)
    assert losses(run) == pytest.approx(losses(place.folder / "dpo-alone"), abs=CLOSE)
