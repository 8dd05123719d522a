"""Four ways to do less work per step on a CPU, with the same losses.

1. Rows of a batch are laid end to end instead of padded to the longest, and attention runs row by row: nothing is
   computed for padding, and nothing across rows. Packed rows gain the same way, document by document.
2. The LM head scores only the tokens that are in the loss, as TRL itself does on a GPU.
3. It scores them in tiles that fit the processor's caches; TRL's are cut for GPUs and take gigabytes here.
4. Memory that was freed is kept for the next tensor instead of being given back and fetched again, page by page.

1 and 2 only drop terms that were multiplied by zero; 3 adds sums in another order. Losses agree to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ATTENTION = "align_rows"
#: Tokens and vocabulary entries of one tile of logits: 4 MB in float32.
_TILE_TOKENS, _TILE_VOCABULARY = 256, 4096
#: malloc.h's M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_TOP_PAD, in bytes.
_MALLOC = {-3: 2**31 - 1, -1: 2**31 - 1, -2: 1 << 26}


def suits(model: Any) -> bool:
    """Whether attention may run row by row: every layer sees all earlier tokens of its row, through sdpa.

    Models say how they attend in several ways; only those that follow the plain one are taken.
    """
    config = model.config.get_text_config()
    if config._attn_implementation != "sdpa" or config is not model.config:
        return False
    if not getattr(model, "_supports_flash_attn", False) or not getattr(model, "_supports_attention_backend", False):
        return False
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    soft = getattr(config, "attn_logit_softcapping", None)
    return kinds == {"full_attention"} and window is None and soft is None and getattr(config, "is_causal", True)


def lay_rows_end_to_end(model: Any, collator: Any) -> None:
    """Switch `model` to attention row by row and TRL's `collator` to batches without padding."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, _attention)
    model.set_attn_implementation(ATTENTION)
    collator.padding_free = True


def restore(model: Any) -> None:
    """Give the model its usual attention back, for what is saved and for whoever uses it afterwards."""
    if model.config._attn_implementation == ATTENTION:
        model.set_attn_implementation("sdpa")


@contextmanager
def lean_head() -> Iterator[None]:
    """For the length of the block, TRL's fused LM head leaves out unlabelled tokens on a CPU too, in small tiles.

    TRL 1.16 asks `_use_triton(device)` whether to leave them out and has its tile sizes in two constants. A contract
    test watches the names; where one is gone, upstream's way stays. Delete when TRL does it by itself.
    """
    from trl.kernels import chunked_logprob
    from trl.trainer import utils

    changes: list[tuple[Any, str, Any]] = [
        (utils, "_use_triton", lambda device: True),
        (utils, "_CHUNKED_LOGPROB_CHUNK_SIZE", _TILE_VOCABULARY),
        (chunked_logprob, "TOKEN_CHUNK_SIZE", _TILE_TOKENS),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in changes if hasattr(module, name)]
    for module, name, value in changes:
        if hasattr(module, name):
            setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def keep_freed_memory() -> bool:
    """Ask the C library not to return large blocks to the system; False where it is not glibc.

    glibc maps every block above 32 MB anew. On the way back the kernel must zero each page again, which took more
    time than the arithmetic of a small model.
    """
    import ctypes
    import sys

    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    answers = [mallopt(option, value) for option, value in _MALLOC.items()]  # every one, even after a refusal
    return all(answer == 1 for answer in answers)


def _attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    dropout: float = 0.0,
    scaling: float | None = None,
    cu_seq_lens_q: Any = None,
    **kwargs: Any,
) -> tuple[Any, None]:
    """Causal attention within each row. `query`: (1, heads, tokens, head_dim); result: (1, tokens, heads, head_dim).

    `cu_seq_lens_q` are the row boundaries that TRL's collator gives; without them there is one row.
    """
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    lengths = cu_seq_lens_q.diff().tolist() if cu_seq_lens_q is not None else [query.shape[2]]
    grouped = key.shape[1] != query.shape[1]
    rows = [
        scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scaling, is_causal=True, enable_gqa=grouped)
        for q, k, v in zip(
            query.split(lengths, dim=2), key.split(lengths, dim=2), value.split(lengths, dim=2), strict=True
        )
    ]
    return torch.cat(rows, dim=2).transpose(1, 2).contiguous(), None
