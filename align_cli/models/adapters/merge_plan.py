"""What a merged model will hold, tensor by tensor, decided from headers alone.

Each tensor keeps its name, dtype and shard. What changes is written down as edits; what does not is copied.

Tied embeddings: a base that scores with its input embeddings has one tensor for both. An adapter of only one of them
parts the two, as peft does at run time, so the merged model gets a head of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from align_cli.models.adapters import fits
from align_cli.models.adapters.chains import Chain
from align_cli.models.adapters.lora import Adapter, Module
from align_cli.models.finding import headers
from align_cli.models.finding.headers import Tensor

#: Settings of a LoRA adapter with which a merged weight is more than W + s B A.
_BY_PEFT = (
    "lora_bias", "trainable_token_indices", "ensure_weight_tying", "use_qalora", "use_bdlora", "kasa_config",
    "monteclora_config", "velora_config", "target_parameters",
)  # fmt: skip


class NotByShards(Exception):
    """This chain cannot be merged shard by shard; the words say why, and peft in memory is the way."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a weight. `whole`: it becomes `a`. `add`: it gains scaling times B A."""

    kind: Literal["whole", "add"]
    a: Tensor
    b: Tensor | None = None
    magnitude: Tensor | None = None
    scaling: float = 1.0
    transposed: bool = False
    """The weight is stored (in, out), as embeddings and GPT-2's layers are."""


@dataclass(frozen=True, slots=True)
class Output:
    """One tensor of the merged model."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    source: Tensor | None
    edits: tuple[Edit, ...] = ()

    @property
    def bytes(self) -> int:
        """What it will take on disk."""
        return math.prod(self.shape) * headers.BITS[self.dtype] // 8


@dataclass
class Plan:
    """The merged model: its files, and what changes in its config."""

    shards: dict[str, list[Output]] = field(default_factory=dict)
    is_untied: bool = False
    vocabulary: int | None = None
    """Rows of the embeddings, where an adapter brought others."""

    @property
    def bytes(self) -> int:
        """What it will take on disk."""
        return sum(one.bytes for outputs in self.shards.values() for one in outputs)


def plan(chain: Chain) -> Plan:
    """How the merged model of a chain comes about.

    Raises:
        NotByShards: an edit is needed that only peft knows, or a weight is not where its module says.
        UsageError: a file is damaged.
    """
    base = headers.weights(chain.base.folder)
    if not base:
        raise NotByShards("the base model has no safetensors files")
    state = _State({name: Output(name, one.dtype, one.shape, one) for name, one in base.items()})
    for link in chain.adapters:
        assert link.adapter is not None
        _apply(link.adapter, state)
    made = Plan(is_untied=state.is_untied, vocabulary=state.vocabulary)
    home = {name: one.file.name for name, one in base.items()}
    first = home[state.embedding] if state.embedding else next(iter(home.values()))
    for name, output in state.outputs.items():
        made.shards.setdefault(home.get(name, first), []).append(output)
    return made


class _State:
    """The tensors as they are after the adapters so far."""

    def __init__(self, outputs: dict[str, Output]) -> None:
        self.outputs = outputs
        self.embedding = fits.embedding_in(outputs)
        self.is_untied = False
        self.vocabulary: int | None = None

    @property
    def is_tied(self) -> bool:
        return not any(fits.is_head(name.removesuffix(".weight")) for name in self.outputs)

    def part(self, head: str) -> None:
        """Give the head a tensor of its own, equal to the embeddings as they are now."""
        assert self.embedding is not None
        self.outputs[head] = replace(self.outputs[self.embedding], name=head)
        self.is_untied = True

    def edit(self, name: str, edit: Edit) -> None:
        before = self.outputs.get(name)
        if edit.kind == "add":
            assert before is not None
            self.outputs[name] = replace(before, edits=(*before.edits, edit))
            return
        dtype = before.dtype if before else self._dtype
        self.outputs[name] = Output(name, dtype, edit.a.shape, None, (edit,))
        if before is not None and before.shape != edit.a.shape:
            if name != self.embedding and not fits.is_head(name.removesuffix(".weight")):
                raise NotByShards(f"{name} has another shape in the adapter")
            self.vocabulary = edit.a.shape[0]

    @property
    def _dtype(self) -> str:
        return self.outputs[self.embedding].dtype if self.embedding else next(iter(self.outputs.values())).dtype


def _apply(adapter: Adapter, state: _State) -> None:
    _demand_plain(adapter)
    for name, tensor in adapter.whole.items():
        path = name.removesuffix(".weight")
        target = fits.tensor_of(name, state.outputs) or name
        if state.is_tied and (fits.is_head(path) or (target == state.embedding and adapter.is_saved_module(name))):
            if not adapter.is_saved_module(name):
                continue  # a tied head that was saved with the resized embeddings: they hold it
            state.part(_head_name(adapter, path))
        state.edit(target, Edit("whole", tensor))
    for module in adapter.modules.values():
        state.edit(*_addition(module, adapter, state))


def _addition(module: Module, adapter: Adapter, state: _State) -> tuple[str, Edit]:
    name = fits.weight_of(module.path, state.outputs)
    if state.is_tied and (fits.is_head(module.path) or (name is not None and name == state.embedding)):
        head = _head_name(adapter, module.path)
        state.part(head)
        name = head if fits.is_head(module.path) else name
    if name is None:
        raise NotByShards(f"the base's files have no tensor for {module.path}")
    if len(module.a.shape) != 2 or len(module.b.shape) != 2:
        raise NotByShards(f"{module.path} is a convolution")
    transposed = module.is_embedding or bool(adapter.config.get("fan_in_fan_out"))
    if module.magnitude is not None and transposed:
        raise NotByShards(f"{module.path} has a DoRA magnitude along its columns")
    edit = Edit("add", module.a, module.b, module.magnitude, module.scaling, transposed)
    out, into = (module.a.shape[1], module.b.shape[0]) if transposed else (module.b.shape[0], module.a.shape[1])
    if state.outputs[name].shape != (out, into):
        raise NotByShards(f"{module.path} has another shape than {name}")
    return name, edit


def _demand_plain(adapter: Adapter) -> None:
    if adapter.kind != "LORA":
        raise NotByShards(f"adapters of the kind {adapter.kind} are peft's own affair")
    if not adapter.is_readable:
        raise NotByShards(f"its weights are {adapter.file.name}, not safetensors")
    if keys := [key for key in _BY_PEFT if adapter.config.get(key)]:
        raise NotByShards(f"{keys[0]} is set")
    if adapter.config.get("task_type") == "SEQ_CLS":
        raise NotByShards("the model is a classifier, not a language model")
    known = {part.name for module in adapter.modules.values() for part in _parts(module)}
    known |= {tensor.name for tensor in adapter.whole.values()}
    if strange := [name for name in adapter.header.tensors if name not in known]:
        raise NotByShards(f"{strange[0]} is no part of plain LoRA")


def _parts(module: Module) -> list[Tensor]:
    return [one for one in (module.a, module.b, module.magnitude) if one is not None]


def _head_name(adapter: Adapter, path: str) -> str:
    """What the head's tensor is called: as the adapter says where it speaks of it, else as most models do."""
    named: Mapping[str, Any] = {**adapter.modules, **{name.removesuffix(".weight"): 0 for name in adapter.whole}}
    head = path if fits.is_head(path) else next((one for one in named if fits.is_head(one)), "lm_head")
    return f"{head}.weight"
