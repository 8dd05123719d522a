"""Causal attention for rows that lie end to end in one sequence, where rows may begin with what another row has.

Nothing is computed for padding, nothing across rows, and what rows share is there once. Transformers' models hand the
row boundaries through to the attention function that their configuration names.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

NAME = "align_rows"


class Piece(NamedTuple):
    """Consecutive tokens of one row: `length` tokens from `start` on, after the `shared` tokens from `begins` on."""

    start: int
    length: int
    begins: int = 0
    shared: int = 0


def switch_on(model: Any) -> None:
    """Let `model` attend row by row."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _attention)
    model.set_attn_implementation(NAME)


def switch_off(model: Any) -> None:
    """Give the model its usual attention back, for what is saved and for whoever uses it afterwards."""
    if is_on(model):
        model.set_attn_implementation("sdpa")


def is_on(model: Any) -> bool:
    """Whether `model` attends row by row."""
    return bool(model.config._attn_implementation == NAME)


def _attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    dropout: float = 0.0,
    scaling: float | None = None,
    cu_seq_lens_q: Any = None,
    align_pieces: tuple[Piece, ...] | None = None,
    **kwargs: Any,
) -> tuple[Any, None]:
    """Causal attention within each row. `query`: (1, heads, tokens, head_dim); result: (1, tokens, heads, head_dim).

    `align_pieces` are the rows in order, as `laid` arranges them; else `cu_seq_lens_q`, the boundaries that TRL's
    collator gives; without either there is one row.
    """
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    if align_pieces is None:
        align_pieces = tuple(_rows(cu_seq_lens_q, query.shape[2]))
    grouped = key.shape[1] != query.shape[1]
    results = []
    for start, length, begins, shared in align_pieces:
        own = slice(start, start + length)
        q, k, v = query[:, :, own], key[:, :, own], value[:, :, own]
        mask = None
        if shared:
            before = slice(begins, begins + shared)
            k, v = (torch.cat([both[:, :, before], mine], dim=2) for both, mine in ((key, k), (value, v)))
            # sdpa's own causal mask lies the other way where there are more keys than queries.
            mask = torch.ones(length, shared + length, dtype=torch.bool, device=q.device).tril(shared)
        results.append(
            scaled_dot_product_attention(
                q, k, v, attn_mask=mask, dropout_p=dropout, scale=scaling, is_causal=mask is None, enable_gqa=grouped
            )
        )
    return torch.cat(results, dim=2).transpose(1, 2).contiguous(), None


def _rows(boundaries: Any, total: int) -> list[Piece]:
    if boundaries is None:
        return [Piece(0, total)]
    ends = boundaries.tolist()
    return [Piece(start, end - start) for start, end in pairwise(ends)]
