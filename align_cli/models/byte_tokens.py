"""How many bytes of text each token of a byte-level BPE stands for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from tokenizers import Tokenizer as Backend


def sizes_of(backend: Backend) -> np.ndarray | None:
    """(vocabulary,) int32: bytes of text that each token stands for; None unless it is a byte-level BPE.

    None, too, where the tokenizer says that a token begins after the space in it: its own word counts then.
    """
    import numpy as np

    facts = json.loads(backend.to_str())
    if facts["model"].get("type") != "BPE" or facts.get("normalizer") or _trims(facts.get("post_processor")):
        return None
    if not _is_byte_level(facts.get("pre_tokenizer")):
        return None
    vocabulary = backend.get_vocab(with_added_tokens=False)
    added = backend.get_added_tokens_decoder()
    sizes: np.ndarray = np.zeros(1 + max([*vocabulary.values(), *added]), np.int32)
    for text, number in vocabulary.items():
        sizes[number] = len(text)  # in the byte alphabet a character is a byte
    for number, token in added.items():
        sizes[number] = len(token.content.encode())
    return sizes


def _is_byte_level(pre_tokenizer: Any) -> bool:
    """Whether text becomes bytes, and nothing is put before it."""
    if not pre_tokenizer:
        return False
    parts = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    found = [part for part in parts if part.get("type") == "ByteLevel"]
    return bool(found) and not any(part.get("add_prefix_space") for part in found)


def _trims(post_processor: Any) -> bool:
    """Whether offsets leave out the space that a token begins with."""
    if not post_processor:
        return False
    parts = post_processor.get("processors", [post_processor])
    return any(part.get("trim_offsets") for part in parts)
