"""Bytes that an optimiser keeps for each trained parameter."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any


def bytes_of(optim: str, weight_bytes: float) -> float:
    """Bytes a trained parameter of `weight_bytes`; a name that nobody knows counts as AdamW.

    >>> bytes_of("adamw_torch_fused", 4), bytes_of("adamw_8bit", 4), bytes_of("sgd", 4)
    (8.0, 2.0, 0.0)
    """
    for entry in _table():
        if any(optim.startswith(word) for word in entry["begins"]):
            return float(entry["states"] * (entry["bytes"] or weight_bytes))
    raise AssertionError("the last entry takes every name")


@cache
def _table() -> list[dict[str, Any]]:
    text = Path(__file__).with_name("optimisers.toml").read_text(encoding="utf-8")
    return list(tomllib.loads(text)["optimisers"])
