"""`python -m align_cli.models.gguf_verify`: whether a GGUF file holds the model that it was made from.

transformers reads the file on a road of its own (other names, permuted rows, quantised blocks), so what it finds there
is a judgment on the converter and not only on ourselves.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from align_cli.errors import TrainingError
from align_cli.models.adapters import verify
from align_cli.models.finding import children

#: What a weight's rounding amounts to, by the kind that most of the file's weights have.
_EPSILONS = {"F32": 2**-23, "F16": 2**-10, "BF16": 2**-7, "Q8_0": 2**-7}
#: As in `verify`: epsilons times the square root of the layers.
_ROUNDING = {"F32": 64.0}
_LAX = 4.0


def compare(
    *, model: str, file: str, say: Callable[[str], None], on_progress: Callable[[int, int, str], None]
) -> dict[str, Any]:
    """Token ids, chat template and logits of both.

    Raises:
        TrainingError: they are not the same model.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    source, place = Path(model), Path(file)
    kind = _kind(place)
    try:
        tokenizer = AutoTokenizer.from_pretrained(place.parent, gguf_file=place.name)
        network = AutoModelForCausalLM.from_pretrained(place.parent, gguf_file=place.name, dtype="float32").eval()
    except (ValueError, KeyError, NotImplementedError, OSError) as cause:
        words = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        return {"why_not": f"transformers does not read this kind of GGUF file ({words})", "kind": kind}
    own = AutoTokenizer.from_pretrained(source)
    sequences = [own(text, add_special_tokens=False)["input_ids"] for text in verify.TEXTS]
    theirs = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in verify.TEXTS]
    if sequences != theirs:
        raise TrainingError("the GGUF file gives other token ids than the model: it is not kept")
    if own.chat_template and tokenizer.chat_template != own.chat_template:
        raise TrainingError("the GGUF file has another chat template than the model: it is not kept")
    with torch.inference_mode():
        found = [_logits(network, ids) for ids in sequences]
        del network
        original = AutoModelForCausalLM.from_pretrained(source, dtype="float32").eval()
        wanted = [_logits(original, ids) for ids in sequences]
    largest = max(float((a - b).abs().max()) for a, b in zip(found, wanted, strict=True))
    scale = max(float(one.abs().max()) for one in wanted)
    layers = getattr(original.config.get_text_config(), "num_hidden_layers", 1)
    epsilon = _EPSILONS.get(kind, _EPSILONS["Q8_0"])
    tolerance = _ROUNDING.get(kind, _LAX) * math.sqrt(layers) * epsilon * scale
    same = sum(int((a.argmax(-1) == b.argmax(-1)).sum()) for a, b in zip(found, wanted, strict=True))
    tokens = sum(len(ids) for ids in sequences)
    if not largest <= tolerance:
        raise TrainingError(
            f"the GGUF file's model differs by {largest:.4g} in its logits, where {kind} explains {tolerance:.2g}: "
            "it is not kept",
            hint="try --outtype f32; if that differs too, the converter does not know this model",
        )
    return {
        "why_not": "",
        "kind": kind,
        "largest": largest,
        "tolerance": tolerance,
        "agreement": same / tokens,
        "tokens": tokens,
    }


def _logits(network: Any, ids: list[int]) -> Any:
    import torch

    return network(input_ids=torch.tensor([ids])).logits.float()


def _kind(file: Path) -> str:
    """How most of the file's numbers are stored."""
    from collections import Counter

    from gguf import GGUFReader

    try:
        tensors = GGUFReader(file).tensors
    except (ValueError, KeyError, IndexError, OSError) as cause:
        why = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        raise TrainingError(f"what the converter wrote is no GGUF file ({why}): it is not kept") from cause
    if not tensors:
        raise TrainingError("the GGUF file that the converter wrote holds no weights: it is not kept")
    numbers: Counter[str] = Counter()
    for tensor in tensors:
        numbers[tensor.tensor_type.name] += int(tensor.n_elements)
    return numbers.most_common(1)[0][0]


if __name__ == "__main__":
    sys.exit(children.main(compare))
