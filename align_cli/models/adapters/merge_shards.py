"""The shards of a merged model, written tensor by tensor: in memory are the adapters and one block of rows.

A shard appears under its name when it is whole, so a merge that was killed goes on after the last one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from align_cli.files import write_json
from align_cli.models.adapters.merge_plan import Edit, Output, Plan
from align_cli.models.finding import headers
from align_cli.models.finding.headers import Tensor

#: Bytes computed at a time, as they will be stored.
_BLOCK = 1 << 24
_COPIED = 1 << 24  # bytes copied at a time
_ALIGNED = 8  # bytes to which a header is padded


def write(plan: Plan, folder: Path, *, on_tensor: Callable[[int, int, str], None]) -> None:
    """Write every shard of `plan` and, where there are several, their index.

    `on_tensor(done, of, shard)` is called after each tensor; those of a shard that is there already count as done.
    """
    total, done = sum(len(outputs) for outputs in plan.shards.values()), 0
    for name, outputs in plan.shards.items():
        if (folder / name).is_file():
            done += len(outputs)
            on_tensor(done, total, name)
            continue
        for _ in _write_shard(folder / name, outputs):
            done += 1
            on_tensor(done, total, name)
    if set(plan.shards) != {headers.SINGLE}:
        index = {
            "metadata": {"total_size": plan.bytes},
            "weight_map": {one.name: file for file, outputs in plan.shards.items() for one in outputs},
        }
        write_json(folder / headers.INDEX, index)


def _write_shard(place: Path, outputs: list[Output]) -> Iterator[Output]:
    """Write the shard, giving each tensor when it is done."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for one in outputs:
        header[one.name] = {"dtype": one.dtype, "shape": list(one.shape), "data_offsets": [end, end + one.bytes]}
        end += one.bytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNED)
    part = place.with_name(f".{place.name}.part")
    with part.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for one in outputs:
            for piece in _bytes_of(one):
                file.write(piece)
            yield one
        file.flush()
        os.fsync(file.fileno())
    headers.read(part)
    os.replace(part, place)


def _bytes_of(one: Output) -> Iterator[Any]:
    if not one.edits:
        assert one.source is not None
        yield from _copied(one.source)
        return
    import torch

    rows = one.shape[0] if one.shape else 1
    step = max(_BLOCK // max(one.bytes // max(rows, 1), 1), 1)
    edits = [_Loaded(edit) for edit in one.edits]
    source = _Rows(one.source) if one.source is not None else None
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        weight = source.read(start, stop) if source is not None else None
        for edit in edits:
            weight = edit.apply(weight, start, stop)
        assert weight is not None
        dtype = getattr(torch, headers.DTYPES[one.dtype])
        yield memoryview(weight.to(dtype).contiguous().reshape(-1).view(torch.uint8).numpy())


def _copied(tensor: Tensor) -> Iterator[bytes]:
    """The bytes of a tensor as they lie in its file."""
    left = tensor.bytes
    with tensor.file.open("rb") as file:
        file.seek(tensor.start)
        while left:
            piece = file.read(min(_COPIED, left))
            if not piece:
                raise OSError(f"{tensor.file} became shorter while it was read")
            left -= len(piece)
            yield piece


class _Rows:
    """Rows of one tensor of a file, in float32 (float64 stays), read as they are needed."""

    def __init__(self, tensor: Tensor) -> None:
        from safetensors import safe_open

        self._file: Any = safe_open(tensor.file, framework="pt")
        self._is_scalar = not tensor.shape
        self._name = tensor.name

    def read(self, start: int, stop: int) -> Any:
        """Rows `start` to `stop`; of a tensor without dimensions the one number."""
        if self._is_scalar:
            return _wide(self._file.get_tensor(self._name))
        return _wide(self._file.get_slice(self._name)[start:stop])


class _Loaded:
    """An edit with the adapter's two factors in memory."""

    def __init__(self, edit: Edit) -> None:
        self._scaling = edit.scaling
        self._transposed = edit.transposed
        self._whole = _Rows(edit.a) if edit.kind == "whole" else None
        if edit.kind == "add":
            assert edit.b is not None
            self._a, self._b = _whole(edit.a), _whole(edit.b)
            self._magnitude = _whole(edit.magnitude) if edit.magnitude is not None else None

    def apply(self, weight: Any, start: int, stop: int) -> Any:
        """The rows after this edit."""
        if self._whole is not None:
            return self._whole.read(start, stop)
        if self._transposed:
            delta = self._a[:, start:stop].T @ self._b.T
        else:
            delta = self._b[start:stop] @ self._a
        weight = weight + self._scaling * delta
        if self._magnitude is None:
            return weight
        # DoRA (Liu et al. 2024, eq. 5): every row gets the length that was learnt for it.
        return weight * (self._magnitude[start:stop] / weight.norm(dim=1)).unsqueeze(1)


def _whole(tensor: Tensor) -> Any:
    return _Rows(tensor).read(0, tensor.shape[0])


def _wide(tensor: Any) -> Any:
    import torch

    return tensor if tensor.dtype == torch.float64 else tensor.to(torch.float32)
