"""Attention over slots: a prompt's own, or the next token of many rows, each over its own past.

Transformers' models call the attention function that their configuration names and hand keyword arguments through to
it; with a name of ours they build no mask.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from align_cli.evals.generate.slots import Aim, Group

NAME = "align_slots"

#: What other models' attention also has; they answer on the plain road.
_FOREIGN = ("softcap", "s_aux", "position_bias")


@contextmanager
def attending(model: Any) -> Iterator[None]:
    """Let `model` attend over slots for the length of the block; each call then says which, by `align_aim`."""
    from transformers import AttentionInterface

    before = model.config._attn_implementation
    AttentionInterface.register(NAME, _attention)
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    align_aim: Aim | None = None,
    **kwargs: Any,
) -> tuple[Any, None]:
    """Causal attention; `query`: (rows, heads, tokens, head_dim), result: (rows, tokens, heads, head_dim)."""
    if align_aim is None:
        raise ValueError("the model does not hand arguments through to its attention")
    if foreign := [name for name in _FOREIGN if kwargs.get(name) is not None]:
        raise ValueError(f"the model's attention has {', '.join(foreign)}")
    if align_aim.positions is None:
        return _of_prompt(query, key, value, align_aim, scaling, sliding_window), None
    return _of_rows(query, key, value, align_aim, scaling, sliding_window), None


def _of_prompt(query: Any, key: Any, value: Any, aim: Aim, scaling: float | None, window: int | None) -> Any:
    """A slot's new tokens, over those before them and themselves."""
    from torch.nn.functional import scaled_dot_product_attention

    length, total = query.shape[2], key.shape[2]
    share = query.shape[1] // key.shape[1]
    query = query.contiguous()
    if length == total and (window is None or total <= window):
        result = scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling, enable_gqa=share > 1)
    else:
        mask = aim.masks.get(window)
        if mask is None:
            mask = aim.masks[window] = _mask_of_prompt(query, total, window)
        if share > 1:  # with a mask, a GPU's fast kernels know no shared heads
            key, value = key.repeat_interleave(share, dim=1), value.repeat_interleave(share, dim=1)
        result = scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)
    return result.transpose(1, 2).contiguous()


def _mask_of_prompt(query: Any, total: int, window: int | None) -> Any:
    import torch

    length = query.shape[2]
    seen = torch.ones(length, total, dtype=torch.bool, device=query.device).tril(total - length)
    return seen if window is None else seen.triu(total - length - window + 1)


def _of_rows(query: Any, key: Any, value: Any, aim: Aim, scaling: float | None, window: int | None) -> Any:
    """Every row's next token, over its own past: the rows of a group together, over the length of its longest."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    rows, heads, _, head_dim = query.shape
    shared = key.shape[1]
    # The heads that share keys are queries of one head, so that keys are read once.
    query = query.reshape(rows, shared, heads // shared, head_dim)
    masks = aim.masks.get(window)
    if masks is None:
        masks = aim.masks[window] = [_mask_of_group(group, query, window) for group in aim.groups]
    results = []
    for (begin, end, used, _), mask in zip(aim.groups, masks, strict=True):
        own = slice(begin, end)
        results.append(
            scaled_dot_product_attention(
                query[own], key[own, :, :used], value[own, :, :used], attn_mask=mask, scale=scaling
            )
        )
    result = torch.cat(results) if len(results) > 1 else results[0]
    return result.reshape(rows, 1, heads, value.shape[3])


def _mask_of_group(group: Group, query: Any, window: int | None) -> Any:
    """(rows, 1, 1, used), to be added; None where every row sees all."""
    import torch

    if all(length == group.used for length in group.lengths) and (window is None or group.used <= window):
        return None
    lengths = torch.tensor(group.lengths, device=query.device)[:, None]
    column = torch.arange(group.used, device=query.device)
    hidden = column >= lengths
    if window is not None:
        hidden |= column < lengths - window
    mask = torch.zeros(hidden.shape, dtype=query.dtype, device=query.device).masked_fill_(hidden, float("-inf"))
    return mask[:, None, None]
