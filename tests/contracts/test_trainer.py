"""What is assumed of the trainers of trl and transformers beyond their documentation."""

from __future__ import annotations

import inspect

import pytest

pytestmark = pytest.mark.slow


def source(of: object) -> str:
    return inspect.getsource(of)  # type: ignore[arg-type]


def test_the_counters_that_a_checkpoint_must_keep_have_these_names():
    from transformers import Trainer
    from trl import SFTTrainer

    loop = source(Trainer._inner_training_loop)
    for name in ("self._tr_loss = ", "self._total_loss_scalar = ", "self._globalstep_last_logged = "):
        assert name in loop
    begin = loop.index("callback_handler.on_train_begin")
    assert max(loop.index(name) for name in ("self._tr_loss = ", "self._globalstep_last_logged = ")) < begin
    assert "self._total_train_tokens += " in source(SFTTrainer.compute_loss)
    assert 'self._metrics = {"train": defaultdict(list)' in source(SFTTrainer.__init__)


def test_a_step_is_logged_then_evaluated_then_saved_and_older_checkpoints_go_last():
    from transformers import Trainer

    moment = source(Trainer._maybe_log_save_evaluate)
    save = source(Trainer._save_checkpoint)

    assert moment.index("self.log(") < moment.index("self._evaluate(") < moment.index("self._save_checkpoint(")
    assert save.index("save_to_json") < save.index("rotate_checkpoints(")


def test_the_head_has_the_names_that_make_it_lean_on_a_cpu():
    from trl.kernels import chunked_logprob
    from trl.trainer import utils

    assert callable(utils._use_triton)
    assert isinstance(utils._CHUNKED_LOGPROB_CHUNK_SIZE, int)
    assert isinstance(chunked_logprob.TOKEN_CHUNK_SIZE, int)
    assert "compact = _use_triton(" in source(utils.add_fused_lm_head)


def test_the_collator_tells_where_rows_begin_when_it_does_not_pad():
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    batch = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)(
        [{"input_ids": [1, 2, 3], "labels": [1, 2, 3]}, {"input_ids": [4, 5], "labels": [4, 5]}]
    )

    assert batch["cu_seq_lens_q"].tolist() == [0, 3, 5]
    assert batch["labels"].tolist() == [[-100, 2, 3, -100, 5]]


def test_an_attention_without_a_mask_function_gets_no_mask():
    from transformers import masking_utils

    text = source(masking_utils._preprocess_mask_arguments)

    assert "config._attn_implementation not in ALL_MASK_ATTENTION_FUNCTIONS._global_mapping" in text


def test_telemetry_is_sent_from_this_method_only():
    from trl.trainer import base_trainer

    assert source(base_trainer).count("send_telemetry(") == source(base_trainer._BaseTrainer._send_telemetry).count(
        "send_telemetry("
    ) + source(base_trainer._BaseTrainer.__init__).count("send_telemetry(")


def test_prepared_rows_are_taken_as_they_are():
    from trl import SFTTrainer

    assert 'args.dataset_kwargs.get("skip_prepare_dataset", False)' in source(SFTTrainer.__init__)
