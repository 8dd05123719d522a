"""What is assumed of accelerate and transformers where processes meet without GPUs."""

from __future__ import annotations

import inspect

import pytest

pytestmark = pytest.mark.slow


def test_accelerate_knows_fsdp_by_the_kind_of_company_that_is_in_its_shared_state():
    from accelerate.state import AcceleratorState, PartialState
    from accelerate.utils import DistributedType

    assert {"MULTI_CPU", "MULTI_GPU", "FSDP"} <= {kind.name for kind in DistributedType}
    assert isinstance(PartialState._shared_state, dict)
    source = inspect.getsource(AcceleratorState.__init__)
    kinds = source[source.index("DistributedType.MULTI_GPU") : source.index("DistributedType.FSDP")]
    assert "MULTI_CPU" not in kinds, "accelerate shares out models on CPUs by itself: allow_fsdp_on_cpu can go"


def test_transformers_takes_a_state_that_was_made_before_its_arguments():
    from transformers import TrainingArguments

    source = inspect.getsource(TrainingArguments.__dict__["_setup_devices"].func)
    assert "use_configured_state" in source
    assert "PartialState(cpu=self.use_cpu)" in source


def test_transformers_deals_batches_out_in_turn():
    from accelerate.data_loader import BatchSamplerShard
    from torch.utils.data import BatchSampler, SequentialSampler

    batches = BatchSampler(SequentialSampler(range(8)), batch_size=2, drop_last=False)
    shares = [list(BatchSamplerShard(batches, num_processes=2, process_index=rank)) for rank in (0, 1)]

    assert shares == [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]
