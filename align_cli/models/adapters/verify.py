"""Whether a merged model says what its base says with the adapters on: logits, on a few texts of our own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from align_cli.errors import TrainingError
from align_cli.models.speaking import opening

#: Prose, a conversation, code and numbers: what a chat model reads.
TEXTS = (
    "The merged model must answer exactly as the base model did with its adapter switched on.",
    "user: Which of the two rivers is longer?\nassistant: The second one, by about forty kilometres.",
    "def area(width, height):\n    return width * height  # 3 x 4 = 12\n",
)
_MOST = 64  # tokens of one text
#: Bytes of a number -> how many of its epsilons, times the square root of the layers, rounding may add up to. Sums are
#: taken in float32 in any case, so there their order counts as well. Measured on SmolLM2-135M with an adapter that
#: moves logits by 37: 9 epsilons in float32, 0.9 in bfloat16 and float16.
_ROUNDING = {8: 64.0, 4: 64.0, 2: 4.0}


@dataclass(frozen=True, slots=True)
class Verified:
    """How far two models are from each other on `TEXTS`. All values are of logits."""

    largest: float
    """Largest difference between the merged model and its base with the adapters on."""
    tolerance: float
    """What rounding may amount to: 64 (half precision: 4) x sqrt(layers) x the dtype's epsilon x the largest logit."""
    effect: float
    """Largest difference that the last adapter makes; with it off against with it on."""
    dtype: str
    tokens: int

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @property
    def is_below_rounding(self) -> bool:
        """Whether the adapter does less than rounding may, so that the comparison proves little."""
        return self.effect <= self.tolerance


def compare(base: Path, adapters: Sequence[Path], merged: Path, *, trust_remote_code: bool = False) -> Verified:
    """Open both models, one after the other, and compare what they say.

    All but the last adapter are merged by peft, the last is left beside the weights: its own arithmetic is the judge.

    Raises:
        TrainingError: they differ by more than rounding explains.
    """
    import torch

    sequences = _sequences(merged)
    with torch.inference_mode():
        wanted, without, facts = _by_peft(base, adapters, sequences, trust_remote_code)
        made = opening.model_class(adapters[-1]).from_pretrained(
            merged, dtype="auto", trust_remote_code=trust_remote_code
        )
        found = [_logits(made.eval(), ids) for ids in sequences]
    # An adapter may have brought rows for new tokens: the model with it off has the same rows, the base has not.
    largest = max(float((a - b).abs().max()) for a, b in zip(found, wanted, strict=True))
    effect = max(float((a - b).abs().max()) for a, b in zip(without, wanted, strict=True))
    scale = max(float(one.abs().max()) for one in wanted)
    tolerance = (
        _ROUNDING[facts["dtype"].itemsize] * math.sqrt(facts["layers"]) * torch.finfo(facts["dtype"]).eps * scale
    )
    verified = Verified(
        largest=largest,
        tolerance=tolerance,
        effect=effect,
        dtype=str(facts["dtype"]).removeprefix("torch."),
        tokens=sum(len(ids) for ids in sequences),
    )
    # Written so that a difference that is not a number fails as well.
    if not largest <= tolerance or (not verified.is_below_rounding and not largest <= effect / 2):
        raise TrainingError(
            f"the merged model differs from base and adapter by {largest:.4g} in its logits, where rounding in "
            f"{verified.dtype} explains {tolerance:.2g} and the adapter itself makes {effect:.4g}: it is not kept",
            hint="please report it, with both adapter_config.json and the base's config.json",
        )
    return verified


def _by_peft(
    base: Path, adapters: Sequence[Path], sequences: list[list[int]], trust_remote_code: bool
) -> tuple[list[Any], list[Any], dict[str, Any]]:
    """Logits with the last adapter on and off, and what the tolerance depends on."""
    from peft import PeftModel

    opened = opening.model_class(adapters[-1])
    network = opened.from_pretrained(base, dtype="auto", trust_remote_code=trust_remote_code)
    for earlier in adapters[:-1]:
        opening.make_room(network, earlier)
        network = PeftModel.from_pretrained(network, str(earlier)).merge_and_unload()
    facts = {"dtype": network.dtype, "layers": getattr(network.config.get_text_config(), "num_hidden_layers", 1)}
    opening.make_room(network, adapters[-1])
    network = PeftModel.from_pretrained(network, str(adapters[-1])).eval()
    wanted = [_logits(network, ids) for ids in sequences]
    with network.disable_adapter():
        without = [_logits(network, ids) for ids in sequences]
    return wanted, without, facts


def _logits(network: Any, ids: list[int]) -> Any:
    import torch

    return network(input_ids=torch.tensor([ids], device=network.device)).logits.float().cpu()


def _sequences(folder: Path) -> list[list[int]]:
    """The texts as token ids of the model's own tokenizer; numbers spread over the vocabulary where it has none."""
    from align_cli.errors import UsageError
    from align_cli.models import tokenizer
    from align_cli.models.adapters import fits

    config = fits.config_of(folder)
    vocabulary = int(config.get("vocab_size") or (config.get("text_config") or {}).get("vocab_size") or 256)
    try:
        backend = tokenizer.load(folder).backend
    except UsageError:
        return [[(7919 * (start + step)) % vocabulary for step in range(_MOST)] for start in range(len(TEXTS))]
    return [[token for token in backend.encode(text).ids if token < vocabulary][:_MOST] for text in TEXTS]
