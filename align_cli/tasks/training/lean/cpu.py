"""Four ways to do less work per step on a CPU, with the same losses.

1. Rows of a batch are laid end to end instead of padded to the longest, and attention runs row by row (`attention`):
   nothing is computed for padding, and nothing across rows. Packed rows gain the same way, document by document;
   answers to one prompt share it (`laid`).
2. The LM head scores only the tokens that are in the loss, as TRL itself does on a GPU.
3. It scores them in tiles that fit the processor's caches; TRL's are cut for GPUs and take gigabytes here.
4. Memory that was freed is kept for the next tensor instead of being given back and fetched again, page by page
   (`align_cli.models.memory`).

1 and 2 only drop terms that were multiplied by zero; 3 adds sums in another order. Losses agree to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: Tokens and vocabulary entries of one tile of logits: 4 MB in float32.
_TILE_TOKENS, _TILE_VOCABULARY = 256, 4096


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
