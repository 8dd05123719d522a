"""Prepared rows as the trainers of TRL take them: read from the store without copying."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from align_cli.errors import DataError
from align_cli.tasks.task import Context

if TYPE_CHECKING:
    import numpy as np


def opened(context: Context) -> tuple[Any, Any]:
    """Training and evaluation rows; None for no evaluation.

    Raises:
        DataError: somebody has removed them since they were prepared.
    """
    from datasets import Dataset

    if context.data is None or not (context.data / "train.arrow").is_file():
        raise DataError(
            "the prepared data are gone", hint="run align train again: it prepares them and the run goes on"
        )
    evaluation = context.data / "eval.arrow"
    return (
        Dataset.from_file(str(context.data / "train.arrow")),
        Dataset.from_file(str(evaluation)) if evaluation.is_file() else None,
    )


def lengths(rows: Any, column: str) -> np.ndarray:
    """(rows,) int64: entries of each row's list in `column`."""
    import numpy as np
    import pyarrow.compute as pc

    counted: np.ndarray = pc.list_value_length(rows.data.column(column)).to_numpy().astype(np.int64)
    return counted


def beside(rows: Any, columns: Mapping[str, Any]) -> Any:
    """The rows with further columns (arrays of numpy or Arrow, one value a row)."""
    import pyarrow as pa
    from datasets import Dataset, concatenate_datasets
    from datasets.table import InMemoryTable

    made = pa.table(
        {name: values if isinstance(values, pa.ChunkedArray) else pa.array(values) for name, values in columns.items()}
    )
    return concatenate_datasets([rows, Dataset(InMemoryTable(made))], axis=1)


def rotated(rows: Any, column: str, size: int) -> Any:
    """The values of `column`, within each batch of `size` rows moved on by one: an Arrow column."""
    import numpy as np
    import pyarrow as pa

    numbers = np.arange(len(rows))
    first = numbers - numbers % size
    last = np.minimum(first + size, len(rows)) - 1
    return rows.data.column(column).take(pa.array(np.where(numbers == first, last, numbers - 1)))
