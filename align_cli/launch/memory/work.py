"""What a recipe asks of one process at a time: rows, tokens, dtypes, and what is kept between forward and backward."""

from __future__ import annotations

from dataclasses import dataclass

from align_cli.launch.memory.optimisers import bytes_of
from align_cli.launch.memory.shape import Shape
from align_cli.recipe.schema import Recipe

_BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "float64": 8.0}
#: Tokens where neither `max_length` nor the model says how long a row may be: upstream's default.
_LENGTH = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """One micro-batch of the longest rows, and the numbers it is computed in."""

    device: str
    """`cpu`, `cuda` or `mps`."""
    rows: int
    """Sequences at once: answers, where each row has several."""
    length: int
    """Tokens of the longest."""
    scores_tokens: bool
    """Whether there is an LM head: a reward model has one number in its place."""
    whole_logits: bool
    """Whether logits of all tokens are there at once."""
    weight_bytes: float
    """Of one parameter as it is held."""
    compute_bytes: float
    """Of one number of a matrix product."""
    optimizer_bytes: float
    """Of the optimiser's states for one trained parameter."""
    checkpointing: bool
    eager: bool
    """Whether attention writes down all its scores."""
    dropout: bool
    """Whether an adapter's inputs are copied by dropout."""
    reference: str
    """`none`; `before`: another model, gone when training begins; `kept`: a second model all the time."""

    @property
    def tokens(self) -> int:
        """Of the micro-batch."""
        return self.rows * self.length

    @property
    def is_mixed(self) -> bool:
        """Whether matrix products are computed in fewer bits than weights are held in."""
        return self.compute_bytes < self.weight_bytes


def work_of(recipe: Recipe, shape: Shape, *, device: str, answers: int = 1, scores_tokens: bool = True) -> Work:
    """The work of `recipe` on this kind of device; `answers`: sequences of one row of the data."""
    weight = _weight_bytes(recipe, shape)
    mixed = recipe.values.get("fp16") or recipe.values.get("bf16")
    if mixed is None and device != "cpu" and not recipe.profile.startswith("handbook"):
        mixed = True  # upstream's default
    compute = 2.0 if mixed else max(weight, 2.0)
    trained = 4.0 if weight < 2 else weight  # what trains on quantised weights has whole numbers of its own
    longest = recipe.get("max_length") or min(shape.context or _LENGTH, _LENGTH)
    return Work(
        device=device,
        rows=int(recipe.get("per_device_train_batch_size", 8)) * answers,
        length=int(longest),
        scores_tokens=scores_tokens,
        whole_logits=scores_tokens and bool(recipe.get("label_smoothing_factor")),
        weight_bytes=weight,
        compute_bytes=compute,
        optimizer_bytes=bytes_of(str(recipe.get("optim") or "adamw_torch_fused"), trained),
        checkpointing=bool(recipe.get("gradient_checkpointing")),
        eager=recipe.get("attn_implementation") == "eager",
        dropout=bool(recipe.get("lora_dropout")) and not recipe.get("disable_dropout"),
        reference=_reference(recipe),
    )


def _weight_bytes(recipe: Recipe, shape: Shape) -> float:
    """4-bit weights carry a scale for each 64 of them, itself quantised or not (Dettmers et al. 2023, section 3)."""
    if recipe.get("load_in_4bit"):
        return 0.5 + (0.127 / 8 if recipe.get("use_bnb_nested_quant") else 4 / 64)
    if recipe.get("load_in_8bit"):
        return 1.0
    dtype = str(recipe.get("dtype") or "float32")
    return shape.stored_bits / 8 if dtype == "auto" else _BYTES.get(dtype, 4.0)


def _reference(recipe: Recipe) -> str:
    if recipe.get("sync_ref_model"):
        return "kept"
    named = recipe.get("ref_model_name_or_path")
    return "before" if named and named != recipe.get("model_name_or_path") else "none"
