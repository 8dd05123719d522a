"""Sizes as people read them."""

from __future__ import annotations

_UNITS = ("bytes", "KB", "MB", "GB", "TB")


def bytes_as_text(size: int) -> str:
    """1234567 -> "1.2 MB": powers of 1000, as disks are sold."""
    value, unit = float(size), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    if unit == 0:
        return f"{size} byte{'' if size == 1 else 's'}"
    return f"{value:.1f} {_UNITS[unit]}" if value < 99.95 else f"{value:.0f} {_UNITS[unit]}"
