"""Keys and values of conversations that are answered together: a slot each, in buffers that grow.

Transformers' own cache joins the whole of it with every new token. Here a token is written where it belongs, and what
a model gets back is a view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

#: Slots grow to multiples of it, in tokens.
_STEP = 64


class Shape(NamedTuple):
    """What one layer keeps of a token."""

    heads: int
    key_dim: int
    value_dim: int
    dtype: Any
    device: Any

    @property
    def bytes(self) -> int:
        """A token's."""
        return int(self.heads * (self.key_dim + self.value_dim) * self.dtype.itemsize)


class Group(NamedTuple):
    """Neighbouring rows of similar length, which attention takes together."""

    begin: int
    end: int
    used: int
    """Tokens of the longest."""
    lengths: tuple[int, ...]


@dataclass
class Aim:
    """What one forward pass is about: tokens of one slot, or the next token of the first few slots."""

    slot: int = 0
    start: int = 0
    """Tokens of the slot that are there already; the pass brings those after them."""
    positions: Any = None
    """(rows,): where each row's next token goes; None where the pass is about one slot."""
    groups: tuple[Group, ...] = ()
    masks: dict[Any, Any] = field(default_factory=dict)
    """Made by the first layer that needs them, for all."""


class Slots:
    """Buffers for `count` conversations. `cache` is what a model is given."""

    def __init__(self, shapes: Sequence[Shape], count: int) -> None:
        import torch

        self.count = count
        self.capacity = 0
        """Tokens that fit in a slot now."""
        self.aim = Aim()
        self._shapes = tuple(shapes)
        self.keys = [self._empty(torch, shape, shape.key_dim) for shape in shapes]
        self.values = [self._empty(torch, shape, shape.value_dim) for shape in shapes]
        self.cache = _cache(self)

    def reserve(self, tokens: int) -> None:
        """Make room for so many tokens in every slot."""
        if tokens <= self.capacity:
            return
        import torch

        wanted = max(tokens, self.capacity + self.capacity // 4)
        wanted = -(-wanted // _STEP) * _STEP
        for buffers in (self.keys, self.values):
            for index, old in enumerate(buffers):
                # Zeros: what is masked is multiplied by 0, and what happens to lie in memory may be no number.
                new = torch.zeros(*old.shape[:2], wanted, old.shape[3], dtype=old.dtype, device=old.device)
                new[:, :, : self.capacity] = old
                buffers[index] = new
                del old
        self.capacity = wanted

    def copy(self, source: int, target: int, tokens: int) -> None:
        """The first tokens of one slot, in another as well."""
        for buffer in (*self.keys, *self.values):
            buffer[target, :, :tokens] = buffer[source, :, :tokens]

    def swap(self, one: int, other: int, tokens: int) -> None:
        """Let two slots change places."""
        for buffer in (*self.keys, *self.values):
            kept = buffer[one, :, :tokens].clone()
            buffer[one, :, :tokens] = buffer[other, :, :tokens]
            buffer[other, :, :tokens] = kept

    def put(self, layer: int, keys: Any, values: Any) -> tuple[Any, Any]:
        """Write what a layer computed; what it attends to: the slot up to here, or all slots."""
        all_keys, all_values, aim = self.keys[layer], self.values[layer], self.aim
        if aim.positions is None:
            end = aim.start + keys.shape[2]
            all_keys[aim.slot, :, aim.start : end] = keys[0]
            all_values[aim.slot, :, aim.start : end] = values[0]
            one = slice(aim.slot, aim.slot + 1)
            return all_keys[one, :, :end], all_values[one, :, :end]
        rows = aim.masks.get("rows")
        if rows is None:
            import torch

            rows = aim.masks["rows"] = torch.arange(len(aim.positions), device=aim.positions.device)
        all_keys[rows, :, aim.positions] = keys[:, :, 0]
        all_values[rows, :, aim.positions] = values[:, :, 0]
        return all_keys, all_values

    def _empty(self, torch: Any, shape: Shape, dim: int) -> Any:
        return torch.zeros(self.count, shape.heads, 0, dim, dtype=shape.dtype, device=shape.device)


def shapes(cache: Any) -> list[Shape]:
    """What each layer keeps, read from a cache that transformers filled.

    Raises:
        ValueError: a layer keeps something else than keys and values of every token.
    """
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    found = []
    for layer in cache.layers:
        if type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer):
            raise ValueError(f"a layer keeps its past as {type(layer).__name__}")
        keys, values = layer.keys, layer.values
        found.append(Shape(keys.shape[1], keys.shape[3], values.shape[3], keys.dtype, keys.device))
    return found


def _cache(slots: Slots) -> Any:
    """The slots as transformers' models know a cache."""
    from transformers.cache_utils import Cache, CacheLayerMixin

    class Layer(CacheLayerMixin):  # type: ignore[misc]
        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index
            self.is_initialized = True

        def lazy_initialization(self, key_states: Any, value_states: Any) -> None:
            """Nothing: the buffers are there."""

        def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            return slots.put(self.index, key_states, value_states)

        def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
            return slots.aim.start + query_length, 0

        def get_seq_length(self) -> int:
            return slots.aim.start

        def get_max_length(self) -> int:
            return -1

    return Cache(layers=[Layer(index) for index in range(len(slots.keys))])
