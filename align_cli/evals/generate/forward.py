"""One pass of a model over slots: tokens of one of them, or the next token of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from align_cli.evals.generate.slots import Aim, Group, Slots

#: Rows of a group at least, and groups at most: each group costs a call per layer, and spares the others its length.
_GROUP_ROWS, _GROUPS = 8, 8
#: GPUs' kernels like lengths that are multiples of it.
_EVEN = 8


class Forward:
    """A model that attends over `slots`. Logits: (rows, vocabulary), of each row's last token."""

    def __init__(self, model: Any, slots: Slots) -> None:
        self.model, self.slots = model, slots
        self._device = model.device

    def feed(self, slot: int, start: int, tokens: Sequence[int]) -> Any:
        """Bring a slot the tokens after its first `start`."""
        import torch

        self.slots.reserve(start + len(tokens))
        positions = torch.arange(start, start + len(tokens), device=self._device)[None]
        return self._pass([list(tokens)], positions, Aim(slot=slot, start=start))

    def step(self, tokens: Sequence[int], lengths: Sequence[int]) -> Any:
        """Bring each of the first slots its next token; `lengths` are what they have."""
        import torch

        self.slots.reserve(max(lengths) + 1)
        positions = torch.tensor(lengths, device=self._device)
        aim = Aim(start=max(lengths), positions=positions, groups=self._groups(lengths))
        return self._pass([[token] for token in tokens], positions[:, None], aim)

    def _pass(self, tokens: list[list[int]], positions: Any, aim: Aim) -> Any:
        import torch

        self.slots.aim = aim
        output = self.model(
            input_ids=torch.tensor(tokens, device=self._device),
            position_ids=positions,
            past_key_values=self.slots.cache,
            use_cache=True,
            logits_to_keep=1,
            align_aim=aim,
        )
        return output.logits[:, -1]

    def _groups(self, lengths: Sequence[int]) -> tuple[Group, ...]:
        size = group_size(len(lengths), self._device.type)
        found = []
        for begin in range(0, len(lengths), size):
            seen = tuple(length + 1 for length in lengths[begin : begin + size])
            used = max(seen)
            if self._device.type != "cpu":
                used = min(-(-used // _EVEN) * _EVEN, self.slots.capacity)
            found.append(Group(begin, begin + len(seen), used, seen))
        return tuple(found)


def group_size(rows: int, device: str) -> int:
    """Rows that attention takes together. A GPU takes all: there, a call costs more than the length it spares."""
    if device != "cpu":
        return rows
    return max(-(-rows // _GROUPS), min(rows, _GROUP_ROWS))
