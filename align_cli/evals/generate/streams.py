"""Random numbers of one question's own, so that what is drawn does not depend on what is drawn beside it.

FastChat seeds torch once a question and samples turn after turn. `torch.multinomial` divides the probabilities by
numbers from the exponential distribution, one for every token of the vocabulary, and takes the largest quotient. On a
CPU it makes them one by one, 1.5 ms for 49 thousand; few tokens have a probability above 0 once top_k is through, so
the logarithm is taken for those alone. The numbers and the draws are the same, and so is what is left of the stream.
"""

from __future__ import annotations

from functools import cache
from typing import Any


class Stream:
    """The random numbers of one question. `drawn`: tokens that were sampled from it before."""

    def __init__(self, seed: int, drawn: int = 0) -> None:
        self._seed, self._drawn = seed, drawn
        self._generator: Any = None

    def draw(self, probabilities: Any) -> int:
        """A token; `probabilities`: (vocabulary,), float32."""
        import torch

        width, device = len(probabilities), probabilities.device
        if self._generator is None:
            self._generator = torch.Generator(device).manual_seed(self._seed)
            for _ in range(self._drawn):
                _skip(width, device, self._generator)
        if device.type == "cpu" and _is_known(width):
            return _drawn(probabilities, self._generator)
        return int(torch.multinomial(probabilities, 1, generator=self._generator))


def _skip(width: int, device: Any, generator: Any) -> None:
    """Use up what one draw uses up."""
    import torch

    if device.type == "cpu" and _is_known(width):
        torch.empty(width, dtype=torch.float64).uniform_(generator=generator)
    else:
        torch.multinomial(torch.ones(width, device=device), 1, generator=generator)


def _drawn(probabilities: Any, generator: Any) -> int:
    import torch

    uniform = torch.empty(len(probabilities), dtype=torch.float64).uniform_(generator=generator)
    possible = probabilities.nonzero()[:, 0]
    exponential = torch.log1p(-uniform[possible]).neg_().float()
    return int(possible[(probabilities[possible] / exponential).argmax()])


@cache
def _is_known(width: int) -> bool:
    """Whether torch's draws are made as described above; a version may do otherwise, and then its own are taken."""
    import torch

    probabilities = torch.full((width,), 1 / width)
    theirs, ours = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    return all(
        int(torch.multinomial(probabilities, 1, generator=theirs)) == _drawn(probabilities, ours)
        and torch.equal(theirs.get_state(), ours.get_state())
        for _ in range(3)
    )
