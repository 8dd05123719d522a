"""One adapter as its two files say: `adapter_config.json` and the tensors of `adapter_model.safetensors`.

Read without torch. The arithmetic of LoRA (Hu et al. 2021): a weight W becomes W + s B A, where A is (rank, in), B is
(out, rank) and s is alpha / rank, or alpha / sqrt(rank) with `use_rslora` (Kalajdzievski 2023).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from align_cli.errors import UsageError
from align_cli.files import digest_of, read_json
from align_cli.fingerprints import of_file
from align_cli.models.finding import headers
from align_cli.models.finding.headers import Tensor

CONFIG, WEIGHTS, OLD_WEIGHTS = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
#: Where `adapter_model.safetensors` says which adapters were stacked into it.
METADATA = "align.chain"
#: What peft puts before a module's path.
PREFIX = "base_model.model."
#: Keys that say where an adapter came from, and not what it is.
_ORIGIN = ("base_model_name_or_path", "revision", "inference_mode", "peft_version", "auto_mapping")
#: End of a tensor's name -> which part of a module's adapter it is.
_PARTS = {
    ".lora_A.weight": "a",
    ".lora_B.weight": "b",
    ".lora_embedding_A": "a",
    ".lora_embedding_B": "b",
    ".lora_magnitude_vector": "magnitude",
    ".lora_magnitude_vector.weight": "magnitude",
}


@dataclass(frozen=True, slots=True)
class Module:
    """What an adapter adds to one weight."""

    path: str
    """As in the model, without peft's prefix: `model.layers.0.self_attn.q_proj`."""
    a: Tensor
    """(rank, in); for an embedding (rank, vocabulary)."""
    b: Tensor
    """(out, rank); for an embedding (width, rank)."""
    magnitude: Tensor | None
    """(out,), for DoRA."""
    is_embedding: bool
    rank: int
    scaling: float
    experts: int = 1
    """More than one where the parameter of all experts is adapted at once: A is (experts x rank, in) then."""


@dataclass(frozen=True)
class Adapter:
    """An adapter's config, and its tensors where they can be read without torch."""

    folder: Path
    config: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The method, as peft names it: LORA, IA3 and others."""
        return str(self.config["peft_type"])

    @property
    def file(self) -> Path:
        """Its weights."""
        new = self.folder / WEIGHTS
        return new if new.is_file() else self.folder / OLD_WEIGHTS

    @cached_property
    def digest(self) -> str:
        """Of what the adapter is: its settings and weights, wherever it lies and whatever base it names."""
        settings = {key: value for key, value in self.config.items() if key not in _ORIGIN}
        return digest_of({"config": settings, "weights": of_file(self.file).sha256})

    @property
    def is_readable(self) -> bool:
        """Whether its tensors can be looked at without torch."""
        return self.file.name == WEIGHTS

    @cached_property
    def header(self) -> headers.Header:
        """The header of its weights."""
        return headers.read(self.file)

    @cached_property
    def modules(self) -> dict[str, Module]:
        """What is adapted, by path.

        Raises:
            UsageError: the tensors are not those that the config speaks of.
        """
        found: dict[str, dict[str, Tensor]] = {}
        embeddings = set()
        for name, tensor in self.header.tensors.items():
            for end, part in _PARTS.items():
                if name.endswith(end):
                    path = name.removeprefix(PREFIX).removesuffix(end)
                    found.setdefault(path, {})[part] = tensor
                    if "embedding" in end:
                        embeddings.add(path)
        return {path: self._module(path, parts, path in embeddings) for path, parts in found.items()}

    @cached_property
    def whole(self) -> dict[str, Tensor]:
        """Tensors that are kept as a whole, by their name in the model: `modules_to_save`, resized embeddings."""
        return {
            name.removeprefix(PREFIX).replace(".modules_to_save.", ".").replace(".base_layer.", "."): tensor
            for name, tensor in self.header.tensors.items()
            if ".lora_" not in name
        }

    def is_saved_module(self, tensor: str) -> bool:
        """Whether a whole tensor belongs to `modules_to_save`, and so to a copy of its own, tied to nothing."""
        path = tensor.rpartition(".")[0]
        return any(path.endswith(name) for name in self.config.get("modules_to_save") or ())

    def _module(self, path: str, parts: Mapping[str, Tensor], is_embedding: bool) -> Module:
        if not {"a", "b"} <= set(parts):
            raise UsageError(
                f"{self.file}: half of the adapter of {path} is missing", hint="save or fetch the adapter again"
            )
        a, b = parts["a"], parts["b"]
        rank = int(self.of_pattern("rank_pattern", path, self.config.get("r") or 0))
        alpha = float(self.of_pattern("alpha_pattern", path, self.config.get("lora_alpha") or 0))
        experts = max(a.shape[0] // rank, 1) if rank and self.config.get("target_parameters") else 1
        if rank < 1 or a.shape[0] != rank * experts or b.shape[1] != rank * experts:
            shapes = f"A is {_shape(a)} and B is {_shape(b)}"
            raise UsageError(
                f"{self.folder}: {CONFIG} gives {path} rank {rank}, but {shapes}",
                hint="the two files are not of one adapter: save or fetch it again",
            )
        scaling = alpha / math.sqrt(rank) if self.config.get("use_rslora") else alpha / rank
        return Module(path, a, b, parts.get("magnitude"), is_embedding, rank, scaling, experts)

    def of_pattern(self, key: str, path: str, otherwise: Any) -> Any:
        """The value for a module in `rank_pattern` or `alpha_pattern`, as peft looks it up (0.21, get_pattern_key)."""
        for pattern, value in (self.config.get(key) or {}).items():
            if re.match(rf"(.*\.)?({pattern})$", path):
                return value
        return otherwise


def is_adapter(folder: Path) -> bool:
    """Whether the folder holds an adapter."""
    return (folder / CONFIG).is_file()


def read(folder: Path) -> Adapter:
    """The adapter in `folder`.

    Raises:
        UsageError: its config or its weights are missing or damaged, or a whole model lies beside it.
    """
    place = folder / CONFIG
    try:
        config = read_json(place)
    except (OSError, ValueError) as cause:
        raise UsageError(f"{place}: this cannot be read: {cause}", hint="save or fetch the adapter again") from cause
    if not isinstance(config, dict) or not isinstance(config.get("peft_type"), str):
        raise UsageError(
            f"{place}: this is no adapter's config: it names no peft_type", hint="save or fetch the adapter again"
        )
    adapter = Adapter(folder, config)
    if not adapter.file.is_file():
        raise UsageError(
            f"{folder}: the adapter has a config and no weights ({WEIGHTS})", hint="save or fetch the adapter again"
        )
    if headers.has_weights(folder):
        raise UsageError(
            f"{folder}: this folder holds a whole model and an adapter, and one of them would be ignored",
            hint=f"move {CONFIG} away to use the model, or the model's weights to use the adapter",
        )
    if adapter.is_readable:
        _ = adapter.header
    return adapter


def _shape(tensor: Tensor) -> str:
    return " x ".join(str(size) for size in tensor.shape)
