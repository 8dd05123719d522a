"""A machine's memory, for models: what is left of it, and how freed blocks are kept."""

from __future__ import annotations

#: malloc.h's M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_TOP_PAD, in bytes.
_MALLOC = {-3: 2**31 - 1, -1: 2**31 - 1, -2: 1 << 26}


def available(device: str) -> int | None:
    """Bytes that tensors on `device` can still have; None where nothing says so."""
    import torch

    kind = torch.device(device).type
    if kind == "cpu":
        import psutil

        return int(psutil.virtual_memory().available)
    if kind == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    return None


def ran_out(error: BaseException) -> bool:
    """Whether an error says that memory ran out, in the words of whichever device it was."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in words or "can't allocate memory" in words)


def keep_freed_memory() -> bool:
    """Ask the C library not to return large blocks to the system; False where it is not glibc.

    glibc maps every block above 32 MB anew. On the way back the kernel must zero each page again, which took more
    time than the arithmetic of a small model.
    """
    import ctypes
    import sys

    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    answers = [mallopt(option, value) for option, value in _MALLOC.items()]  # every one, even after a refusal
    return all(answer == 1 for answer in answers)
