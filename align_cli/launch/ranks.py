"""Which of a run's processes this one is, as whoever started it says in the environment; torch is not imported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

#: (rank, world size, local rank, local world size) in the words of torchrun and accelerate, Slurm, Open MPI and MPICH.
_WORDS = (
    ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
)
#: What torch wants to find.
RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE = _WORDS[0]


@dataclass(frozen=True, slots=True)
class Place:
    """One process among those of a run."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process speaks and writes for all."""
        return self.rank == 0

    def as_environment(self) -> dict[str, str]:
        """The variables that torch, accelerate and DeepSpeed read."""
        return {
            RANK: str(self.rank),
            WORLD_SIZE: str(self.world_size),
            LOCAL_RANK: str(self.local_rank),
            LOCAL_WORLD_SIZE: str(self.local_world_size),
        }


def here(environment: Mapping[str, str] | None = None) -> Place:
    """This process's place; a process that nobody launched is the only one."""
    given = os.environ if environment is None else environment
    for rank, world, local, local_world in _WORDS:
        if _number(given, rank) is not None and (size := _number(given, world) or 0) > 1:
            return Place(
                rank=_number(given, rank) or 0,
                world_size=size,
                local_rank=_number(given, local) or 0,
                local_world_size=_number(given, local_world) or 1,
            )
    return Place()


def launcher_around(environment: Mapping[str, str] | None = None) -> str:
    """The variables by which another launcher shows that it started this process as one of several, or nothing."""
    given = os.environ if environment is None else environment
    for rank, world, *_ in _WORDS:
        if _number(given, rank) is not None and (_number(given, world) or 0) > 1:
            return f"{rank}={given[rank]} {world}={given[world]}"
    return ""


def _number(given: Mapping[str, str], name: str) -> int | None:
    text = given.get(name, "")
    return int(text) if text.isdigit() else None
