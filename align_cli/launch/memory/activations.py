"""What a forward pass leaves for the backward pass, and what the LM head needs: bytes of one micro-batch."""

from __future__ import annotations

from typing import NamedTuple

from align_cli.launch.memory.shape import Shape
from align_cli.launch.memory.work import Work

#: Tensors as wide as the model, of each layer and token, which the C library's heap frees and does not use again:
#: `posix_memalign` of glibc before 2.38 overlooks a free block of just the right size (bug 14581). Measured.
_NOT_REUSED = 4
#: TRL's tiles of logits (tokens, entries) and as a CPU gets them, and how many like them are there at once.
_TILE = {"cuda": (4096, 32768), "cpu": (256, 4096)}
_TILES = {"cuda": 1, "cpu": 6}


class Kept(NamedTuple):
    """Bytes."""

    layers: float
    head: float


def kept(shape: Shape, work: Work) -> Kept:
    """What lies in memory when the backward pass begins."""
    return Kept(_layers(shape, work), _head(shape, work))


def of_layer(shape: Shape, work: Work) -> float:
    """Bytes that one layer keeps for each token.

    Korthikanti et al. 2022 (arXiv:2205.05198, section 4.1) count the tensors of a GPT layer; here are those of a Llama
    layer as transformers computes it, counted by `torch.autograd.graph.saved_tensors_hooks`. With h the width of the
    model, q and k those of all queries and all keys, f that of the feed-forward part:

        norms        2 h in the weights' residual stream's bytes, 2 h more in float32
        attention    q after rotation, k, v, and its result q: 2 q + 2 k   (Dao et al. 2022: no scores)
        matrices     inputs of q, k, v together h, of o q (that is the result), of gate and up h
        feed-forward gate, its SiLU, up, and their product: 4 f

    so in float32 4 (7 h + 2 q + 2 k + 4 f). A frozen matrix does not keep its input (then 2 h + 2 q + 2 k + 3 f are
    left), but an adapter on it does: once, or with dropout its own copy and the mask (a byte on a GPU, a float on a
    CPU). Scores that are written down (eager attention) add two numbers for each head and earlier token.
    """
    h, q, k, f, c = shape.hidden, shape.queries, shape.key_values, shape.intermediate, work.compute_bytes
    residual = max(work.weight_bytes, work.compute_bytes) if work.weight_bytes >= 2 else work.compute_bytes
    frozen = shape.adapter is not None
    found = 2 * h * 4.0 if residual < 4 else 2 * h * residual  # a norm computes in float32, whatever it is given
    found += c * (2 * q + 2 * k + 3 * f)
    if not frozen:
        found += 2 * h * residual + c * (2 * h + f) + c * h
    elif shape.adapter is not None:
        one = shape.adapter
        mask = 4.0 if work.device == "cpu" else 1.0
        found += one.width * (c + mask) if work.dropout else one.inputs * c
        found += one.matrices * one.rank * c
    if work.eager:
        found += 2 * c * shape.heads * work.length
    return found


def _layers(shape: Shape, work: Work) -> float:
    """All layers; with checkpoints only their inputs and one of them whole (Chen et al. 2016, arXiv:1604.06174)."""
    each = of_layer(shape, work)
    inputs = shape.hidden * max(work.compute_bytes, min(work.weight_bytes, 4.0))
    found = shape.layers * inputs + each if work.checkpointing else shape.layers * each
    if work.device == "cpu":
        found += shape.layers * _NOT_REUSED * shape.hidden * work.compute_bytes
    return work.tokens * found


def _head(shape: Shape, work: Work) -> float:
    """TRL's fused head (1.16, `trl/kernels/chunked_logprob.py`) holds a tile of logits, and gradients in float32.

    Its inputs and their gradients are as wide as the model; the gradient of its matrix is there beside the gradient
    that the same matrix gets for reading tokens in. Logits as a whole: in the arithmetic's bytes, and twice in float32.
    """
    if not work.scores_tokens:
        return 0.0
    if work.whole_logits:
        return work.tokens * shape.vocabulary * (work.compute_bytes + 8)
    tokens, entries = _TILE["cpu" if work.device == "cpu" else "cuda"]
    tile = min(work.tokens, tokens) * min(entries, shape.vocabulary) * work.compute_bytes
    found = tile * _TILES["cpu" if work.device == "cpu" else "cuda"]
    found += work.tokens * shape.hidden * (work.compute_bytes + 4)
    if shape.adapter is None:
        found += shape.vocabulary * shape.hidden * 4
    return found
