"""What is in safetensors files, read from their headers: names, dtypes, shapes. No torch, no tensor is read.

A file is eight bytes (little endian: the header's length), the header (JSON), then the tensors' bytes end to end:
https://huggingface.co/docs/safetensors.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align_cli.errors import UsageError
from align_cli.files import read_json

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
#: As safetensors itself limits it, in bytes.
LONGEST = 100_000_000
#: Bits of one element.
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
#: As torch and people say it.
DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2", "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8",
    "BOOL": "bool",
}  # fmt: skip
_BINARY = ("pytorch_model.bin", "pytorch_model.bin.index.json")


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a file, as the header describes it."""

    file: Path
    name: str
    dtype: str
    """As safetensors spells it: F32, BF16, …"""
    shape: tuple[int, ...]
    start: int = 0
    """Where its bytes begin in the file."""

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """What it takes on disk."""
        return self.elements * BITS[self.dtype] // 8


@dataclass(frozen=True, slots=True)
class Header:
    """One file: its tensors in the order of their bytes, and what its author wrote beside them."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]


def read(file: Path) -> Header:
    """The header of one safetensors file.

    Raises:
        UsageError: the file is damaged, cut off or no safetensors file.
    """
    try:
        with file.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(LONGEST, size - 8):
                raise _damaged(file, "it does not begin as a safetensors file does")
            raw = json.loads(stream.read(length))
        metadata = raw.pop("__metadata__", {})
        entries = sorted(raw.items(), key=lambda entry: entry[1]["data_offsets"])
        tensors = {
            name: Tensor(file, name, one["dtype"], tuple(one["shape"]), 8 + length + one["data_offsets"][0])
            for name, one in entries
        }
        end = 0
        for name, entry in entries:
            start, stop = entry["data_offsets"]
            if start != end or stop - start != tensors[name].bytes:
                raise _damaged(file, f"its header contradicts itself at {name}")
            end = stop
    except OSError as cause:
        raise UsageError(f"{file}: cannot be read: {cause.strerror or cause}") from cause
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise _damaged(file, "its header cannot be read") from cause
    if size != 8 + length + end:
        raise _damaged(file, f"it should have {8 + length + end:,} bytes and has {size:,}")
    return Header(tensors, metadata if isinstance(metadata, dict) else {})


def weights(folder: Path) -> dict[str, Tensor]:
    """Every tensor of the model in `folder`, over all its shards; empty where it has no safetensors files.

    Raises:
        UsageError: a shard is missing or damaged, or the index names a tensor that its shard lacks.
    """
    if (folder / INDEX).is_file():
        return _of_index(folder)
    if (folder / SINGLE).is_file():
        return dict(read(folder / SINGLE).tensors)
    return {}


def has_weights(folder: Path) -> bool:
    """Whether the folder holds a whole model's weights, in any of the two forms."""
    return any((folder / name).is_file() for name in (SINGLE, INDEX, *_BINARY))


def _of_index(folder: Path) -> dict[str, Tensor]:
    index = folder / INDEX
    try:
        named: Any = read_json(index)["weight_map"]
        shards = list(dict.fromkeys(named.values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as cause:
        raise _damaged(index, "it is no index of shards") from cause
    if absent := [shard for shard in shards if not (folder / shard).is_file()]:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise UsageError(f"{folder}: the shard {absent[0]}{more} is missing", hint="fetch the model again")
    found: dict[str, Tensor] = {}
    for shard in shards:
        found.update(read(folder / shard).tensors)
    if lost := [name for name in named if name not in found]:
        raise _damaged(index, f"it names {lost[0]}, which no shard has")
    return found


def _damaged(file: Path, why: str) -> UsageError:
    return UsageError(f"{file}: this file is damaged: {why}", hint="fetch or save it again")
