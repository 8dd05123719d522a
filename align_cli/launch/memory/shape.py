"""What of a model decides how much memory its training takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapter:
    """What LoRA puts on a model: for each targeted matrix (out, in) an A of (rank, in) and a B of (out, rank)."""

    parameters: int
    """rank x (in + out), summed over the targeted matrices (Hu et al. 2021, section 4.1), and what is trained whole."""
    matrices: float
    """Targeted matrices of one layer."""
    width: float
    """Their inputs' widths, summed: each keeps its own copy of its input where there is dropout."""
    inputs: float
    """The same, an input that several of them read counted once."""
    rank: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """A decoder-only language model, as its files describe it."""

    parameters: int
    """Without adapter; rows that a larger vocabulary will add included."""
    embedding: int
    """Parameters of the matrix that tokens are read in with."""
    is_tied: bool
    """Whether the LM head is that matrix, too."""
    hidden: int
    layers: int
    heads: int
    key_values: int
    """Width of all keys of one token: key-value heads x width of a head."""
    queries: int
    """Width of all queries of one token: heads x width of a head."""
    intermediate: int
    """Width of the feed-forward part that one token passes through; of a mixture of experts: of those it is sent to."""
    vocabulary: int
    context: int | None = None
    """Tokens that the model was made for."""
    stored_bits: int = 32
    """Of one parameter in the files."""
    adapter: Adapter | None = None

    @property
    def trainable(self) -> int:
        """Parameters that are trained."""
        return self.adapter.parameters if self.adapter else self.parameters

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self) | {"trainable": self.trainable}
