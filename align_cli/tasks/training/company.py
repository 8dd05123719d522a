"""The processes of one run, as seen from inside one of them: agree, wait, collect. One process is company enough."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any

from align_cli.launch import ranks

#: Seconds that processes may be apart: one may still load, compile or write while others wait.
_PATIENCE = 3600


def is_first() -> bool:
    """Whether this process speaks and writes for all."""
    return ranks.here().is_first


def is_first_here() -> bool:
    """Whether this process writes for its machine."""
    return ranks.here().local_rank == 0


def rank() -> int:
    """This process's number."""
    return ranks.here().rank


def size() -> int:
    """Number of processes."""
    return ranks.here().world_size


def anyone(flag: bool) -> bool:
    """Whether any process says so; every one of them must ask."""
    if size() == 1:
        return flag
    import torch
    import torch.distributed as dist

    told = torch.tensor([int(flag)])
    dist.all_reduce(told, dist.ReduceOp.MAX, group=_on_cpu())
    return bool(told.item())


def gathered(value: Any) -> list[Any]:
    """What every process gave, by rank."""
    if size() == 1:
        return [value]
    import torch.distributed as dist

    found: list[Any] = [None] * size()
    dist.all_gather_object(found, value, group=_on_cpu())
    return found


def wait() -> None:
    """Until every process has come here."""
    anyone(False)


def part() -> None:
    """Leave the others in order; what follows is one process's own business."""
    if size() == 1:
        return
    import torch.distributed as dist

    if dist.is_initialized():
        wait()
        _on_cpu.cache_clear()
        dist.destroy_process_group()


@cache
def _on_cpu() -> Any:
    """A group whose collectives take plain CPU tensors, whatever the gradients travel by."""
    import torch.distributed as dist

    if dist.get_backend() == "gloo":
        return dist.group.WORLD
    return dist.new_group(backend="gloo", timeout=timedelta(seconds=_PATIENCE))
