"""Rows of a candle file as they are, right or wrong, for the audit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.research.data.findings import Finding
from shared.research.data.series import Rows, Series, nothing


class Unusable(Exception):
    """The file cannot be read at all, or lacks a column."""


def read_raw(path: Path, series: Series) -> tuple[Rows, list[Finding]]:
    """Rows in the order of the file; cells that are no number are NaN, rows without time go.

    Raises
    ------
    Unusable
        Saying why.
    """
    import pyarrow as pa
    import pyarrow.csv as pcsv
    import pyarrow.parquet as pq

    wanted = (series.time_column, *series.columns)
    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                table = file.read()
        else:
            table = pcsv.read_csv(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise Unusable(f"cannot be read: {error}") from error
    missing = [name for name in wanted if name not in table.column_names]
    if missing:
        raise Unusable(
            f"column {', '.join(missing)} is missing; it has {', '.join(table.column_names)}"
        )
    if not table.num_rows:
        return nothing(series), []
    time, *values = (_numbers(table[name]) for name in wanted)
    known = np.isfinite(time)
    rows = Rows(time[known].astype(np.int64), np.column_stack(values)[known])
    lost = int((~known).sum())
    if not lost:
        return rows, []
    finding = Finding(
        severity="error",
        kind="not a number",
        file=path.name,
        start=0,
        end=0,
        count=lost,
        text=f"{series.time_column} is not a number in {lost} row(s), first row "
        f"{int(np.flatnonzero(~known)[0]) + 1}",
    )
    return rows, [finding]


def _numbers(column: Any) -> NDArray[np.float64]:
    """A column as floats (exact for times until far beyond this century)."""
    return np.array([_number(cell) for cell in column.to_pylist()], dtype=np.float64)


def _number(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return float("nan")
