"""A model that takes padded batches and computes their rows end to end, what rows share only once.

TRL's preference trainers pad a batch, run the model on it and work with per-token values. Here the same call gives the
same values, but the model sees one sequence without padding, in which answers to one prompt follow a single copy of
it. Terms that were multiplied by zero are left out and equal ones computed once; values agree to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from align_cli.tasks.training.lean.attention import Piece

if TYPE_CHECKING:
    from torch import Tensor

#: Rows of a padded batch that begin alike, each group as row numbers.
Groups = Sequence[Sequence[int]]
#: What TRL's fused LM head gives for each token.
_FIELDS = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1")
_IGNORED = -100


@dataclass(frozen=True)
class Layout:
    """Where the tokens of a padded batch of shape (rows, width) lie in one sequence of `tokens` tokens."""

    order: list[int]
    """(tokens,): for each token of the sequence its place in the flattened batch."""
    positions: list[int]
    """(tokens,): its position in its own row."""
    pieces: tuple[Piece, ...]
    places: list[list[int]]
    """For each row and each of its tokens, where that token lies in the sequence."""


def lay(input_ids: Tensor, lengths: Sequence[int], groups: Groups) -> Layout:
    """Arrange the rows group by group. `input_ids`: (rows, width) int64, padded on the right.

    A group's first row lies whole. The others leave out the tokens that they begin with like the first, but for the
    last of these: that one must predict a token of its own row.
    """
    width = input_ids.shape[1]
    order: list[int] = []
    positions: list[int] = []
    pieces: list[Piece] = []
    places: list[list[int]] = [[] for _ in lengths]
    for leader, *others in groups:
        first = len(order)
        for row in (leader, *others):
            shared = 0 if row == leader else max(_alike(input_ids, lengths, leader, row) - 1, 0)
            start, length = len(order), lengths[row] - shared
            order += range(row * width + shared, row * width + lengths[row])
            positions += range(shared, lengths[row])
            pieces.append(Piece(start, length, first, shared))
            places[row] = [*range(first, first + shared), *range(start, start + length)]
    return Layout(order, positions, tuple(pieces), places)


def _alike(input_ids: Tensor, lengths: Sequence[int], one: int, other: int) -> int:
    """Number of tokens that two rows begin with alike."""
    shortest = min(lengths[one], lengths[other])
    same = input_ids[one, :shortest] == input_ids[other, :shortest]
    return shortest if bool(same.all()) else int(same.int().argmin())


def pairs(rows: int) -> Groups:
    """Groups of a batch that holds all chosen answers and then all rejected ones, in the same order."""
    return [(row, row + rows // 2) for row in range(rows // 2)]


def alone(rows: int) -> Groups:
    """Groups of a batch whose rows have nothing to do with each other."""
    return [(row,) for row in range(rows)]


class LaidEndToEnd:
    """Stands in for `model` in one call of a trainer's loss; everything but the fused head's call is the model's."""

    def __init__(self, model: Any, groups: Callable[[int], Groups]) -> None:
        """`groups` tells, for a number of rows in a batch, which of them may begin alike."""
        self.model, self.groups = model, groups

    def __call__(self, **given: Any) -> Any:
        """As TRL calls it: `input_ids`, `attention_mask` and `labels` (rows, width), `fused_lm_head=True`.

        Gives an object with the fields of TRL's `FusedCausalLMOutput`, each (rows, width - 1) or None.
        """
        if not given.get("fused_lm_head"):
            return self.model(**given)
        import torch

        input_ids, labels, mask = given.pop("input_ids"), given.pop("labels"), given.pop("attention_mask")
        lengths = mask.sum(dim=1).tolist()
        layout = lay(input_ids, lengths, self.groups(len(lengths)))
        device = input_ids.device
        order = torch.tensor(layout.order, device=device)
        shifted = torch.full_like(labels, _IGNORED)
        shifted[:, :-1] = labels[:, 1:]
        targets = _targets(shifted, layout, device)
        made = self.model(
            **given,
            input_ids=input_ids.reshape(-1)[order][None],
            position_ids=torch.tensor(layout.positions, device=device)[None],
            attention_mask=None,
            shift_labels=targets[None],
            align_pieces=layout.pieces,
        )
        width = input_ids.shape[1] - 1
        index = torch.tensor([[*row[:width], *[0] * (width - len(row))] for row in layout.places], device=device)
        wanted = shifted[:, :-1] != _IGNORED
        return _Values(made, index, wanted)


class _Values:
    """Per-token values of the sequence, looked at as those of the padded batch; zero where nothing was asked."""

    def __init__(self, made: Any, index: Tensor, wanted: Tensor) -> None:
        self.aux_loss = made.aux_loss
        for name in _FIELDS:
            found = getattr(made, name)
            if found is not None:
                found = found[0][index]
                found = found & wanted if found.dtype == wanted.dtype else found * wanted
            setattr(self, name, found)


def _targets(shifted: Tensor, layout: Layout, device: Any) -> Tensor:
    """(tokens,): the label of each token of the sequence; where rows share one, that of whichever row has one."""
    import torch

    targets = torch.full((len(layout.order),), _IGNORED, device=device)
    rows = torch.tensor([row for row, places in enumerate(layout.places) for _ in places], device=device)
    columns = torch.tensor(list(chain.from_iterable(range(len(places)) for places in layout.places)), device=device)
    places = torch.tensor(list(chain.from_iterable(layout.places)), device=device)
    return targets.scatter_reduce(0, places, shifted[rows, columns], reduce="amax")
