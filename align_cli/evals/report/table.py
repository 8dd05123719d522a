"""A table of numbers: named rows, named columns, cells that know what they are; and the same as a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from align_cli.evals.report.drawing import Drawing, Outline, Point, Shape, Words, fitted, width_of

_SIZE, _SMALL = 12.5, 10.5
_ROW, _HEAD = 36.0, 30.0  # pixels
_GAP = 20.0
_NAME = 300.0  # the widest that a model's name may be


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One number, as it is said."""

    text: str
    aside: str = ""
    """Its interval."""
    title: str = ""
    """The same in full."""
    share: float | None = None
    """Where it lies on its scale, 0 to 1; None where it is on none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Rows with a name, columns with a name."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    has_series: bool = False
    """The rows are the radar chart's lines, in the same order."""


def drawn(table: Table) -> Drawing:
    """The table as a picture."""
    names = [fitted(name, _SIZE, _NAME) for name, _ in table.rows]
    first = max([width_of(name, _SIZE, is_bold=True) for name in names] + [60.0])
    widths = [
        max(width_of(column, _SMALL), *(_width(cells[number]) for _, cells in table.rows))
        for number, column in enumerate(table.columns)
    ]
    ends = [16 + first + sum(widths[: number + 1]) + _GAP * (number + 1) for number in range(len(widths))]
    width = max(ends[-1] + 16, width_of(table.title, 14, is_bold=True) + 32)
    shapes: list[Shape] = [Words(at=Point(16, 22), text=table.title, size=14, is_bold=True)]
    top = 32.0
    shapes += [
        Words(at=Point(end, top + 18), text=column, size=_SMALL, anchor="end", tone="quiet")
        for column, end in zip(table.columns, ends, strict=True)
    ]
    top += _HEAD
    for name, (_, cells) in zip(names, table.rows, strict=True):
        shapes.append(Outline(points=[Point(16, top), Point(width - 16, top)], tone="faint"))
        shapes.append(Words(at=Point(16, top + 22), text=name, size=_SIZE, is_bold=True))
        for cell, end in zip(cells, ends, strict=True):
            shapes.append(Words(at=Point(end, top + 16), text=cell.text, size=_SIZE, anchor="end"))
            if cell.aside:
                shapes.append(Words(at=Point(end, top + 29), text=cell.aside, size=_SMALL, anchor="end", tone="quiet"))
        top += _ROW
    return Drawing(width=width, height=top + 12, title=table.title, shapes=shapes)


def _width(cell: Cell) -> float:
    return max(width_of(cell.text, _SIZE), width_of(cell.aside, _SMALL))
