"""Which models attend in the plain way, so that an attention function of ours may stand in for their own."""

from __future__ import annotations

from typing import Any


def suits(model: Any, *, windows: bool = False) -> bool:
    """Whether attention may be ours: every layer sees all earlier tokens of its row, through sdpa.

    Models say how they attend in several ways; only those that follow the plain one are taken. `windows`: also
    those whose layers see only the last so many tokens, for a function that knows `sliding_window`.
    """
    config = model.config.get_text_config()
    if config._attn_implementation != "sdpa" or config is not model.config:
        return False
    if not getattr(model, "_supports_flash_attn", False) or not getattr(model, "_supports_attention_backend", False):
        return False
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    if windows:
        kinds.discard("sliding_attention")
        window = None
    soft = getattr(config, "attn_logit_softcapping", None)
    return kinds <= {"full_attention"} and window is None and soft is None and getattr(config, "is_causal", True)
