"""Whether a model computes the same over slots as in its own way: seen on a few tokens before it is relied on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from align_cli.evals.generate.attention import attending
from align_cli.evals.generate.forward import Forward
from align_cli.evals.generate.slots import Shape, Slots, shapes
from align_cli.models.attending import suits

#: Tokens of the two rows that are tried: one longer than the other, the other in two pieces.
_LONG, _SHORT, _CUT = 13, 8, 4
#: How far logits may be off, of their own spread. Rounding makes 1e-6 in float32, 1e-2 in bfloat16; another
#: computation makes about 1.
_TOLERANCE = 0.1


def whole(network: Any) -> Any:
    """The transformers model itself, with adapters in its layers if it has any; None where peft does more than that."""
    if hasattr(network, "peft_config"):
        if any(config.is_prompt_learning for config in network.peft_config.values()):
            return None
        return network.get_base_model()
    return network


def obstacle(model: Any) -> tuple[str, Sequence[Shape]]:
    """Why a model cannot answer over slots, in words; empty, and what its layers keep of a token, if it can."""
    import torch

    if model is None:
        return "the adapter is a learned prompt", ()
    if not suits(model, windows=True):
        return f"{type(model).__name__} attends in a way of its own", ()
    if kind := _elastic(model.config):
        return f"positions of the kind {kind} depend on the longest row", ()
    vocabulary = model.get_input_embeddings().weight.shape[0]
    spread = torch.Generator().manual_seed(0)
    tokens = torch.randint(vocabulary, (_LONG,), generator=spread).tolist()
    try:
        kept, theirs = _in_its_own_way(model, tokens)
        with attending(model):
            ours = _over_slots(model, kept, tokens)
    except (ValueError, TypeError, AttributeError, NotImplementedError, RuntimeError) as cause:
        return f"{type(model).__name__} does not compute over slots ({str(cause).splitlines()[0][:100]})", ()
    off = float((ours - theirs).norm() / (theirs - theirs.mean()).norm())
    if not off < _TOLERANCE:
        return f"{type(model).__name__} computes otherwise over slots", ()
    return "", kept


def _elastic(config: Any) -> str:
    """The kind of rotary positions, where it stretches them to the longest row of a pass; else empty."""
    rope = getattr(config, "rope_parameters", None) or {}
    each = [rope, *(part for part in rope.values() if isinstance(part, dict))]  # some have one for each kind of layer
    return next((kind for one in each if (kind := one.get("rope_type", "")) in ("dynamic", "longrope")), "")


def _in_its_own_way(model: Any, tokens: list[int]) -> tuple[Sequence[Shape], Any]:
    import torch

    logits, kept = [], None
    for length in (_LONG, _SHORT):
        ids = torch.tensor([tokens[:length]], device=model.device)
        output = model(input_ids=ids, use_cache=True)
        kept = output.past_key_values
        logits.append(output.logits[0, -1].float())
    return shapes(kept), torch.stack(logits)


def _over_slots(model: Any, kept: Sequence[Shape], tokens: list[int]) -> Any:
    slots = Slots(kept, 2)
    slots.reserve(_LONG)
    forward = Forward(model, slots)
    forward.feed(0, 0, tokens[: _LONG - 1])
    forward.feed(1, 0, tokens[:_CUT])
    forward.feed(1, _CUT, tokens[_CUT : _SHORT - 1])
    last = [tokens[_LONG - 1], tokens[_SHORT - 1]]
    return forward.step(last, [_LONG - 1, _SHORT - 1]).float()
