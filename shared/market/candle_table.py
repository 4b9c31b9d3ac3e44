"""The rows of one candle file: read from parquet or CSV, and checked one by one.

Nothing is repaired: what cannot be used is refused with the file, the row and what to do.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.clock import iso
from shared.errors import ConfigurationError, MarketDataError
from shared.market.candle import Columns
from shared.market.timeframe import duration_ms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Column = NDArray[np.float64]
    Table = dict[str, NDArray[Any]]

PRICES = ("open", "high", "low", "close")


def read_candles(path: Path, symbol: str, timeframe: str, *, volume: bool) -> list[Columns]:
    """One file, checked row by row, as runs without holes.

    Parameters
    ----------
    path : Path
    symbol, timeframe : str
        What its name says.
    volume : bool
        Whether it has a column of volume; mark prices have none, and get zeros.

    Raises
    ------
    MarketDataError
        At the first thing that cannot be used.
    """
    name = path.name
    table = _table(path, ("open_time",), (*PRICES, "volume") if volume else PRICES)
    time = table["open_time"].astype(np.int64)
    if len(time) == 0:
        raise MarketDataError(f"{name}: the file has no row")
    values = {key: table[key].astype(np.float64) for key in PRICES}
    values["volume"] = table["volume"].astype(np.float64) if volume else np.zeros(len(time))
    step = duration_ms(timeframe)
    _ascending(time, name)
    off = np.flatnonzero(time % step)
    if len(off):
        raise MarketDataError(
            f"{name}: row {off[0] + 1} opens at {iso(int(time[off[0]]))}, "
            f"which is no {timeframe} boundary"
        )
    for key, column in values.items():
        _finite(column, key, time, name)
    _plausible(values, time, name)
    whole = Columns(symbol, timeframe, time, *values.values())
    edges = [0, *(np.flatnonzero(np.diff(time) != step) + 1).tolist(), len(time)]
    return [whole.window(a, b) for a, b in itertools.pairwise(edges)]


def read_funding(paths: Sequence[Path]) -> tuple[NDArray[np.int64], Column]:
    """Times and rates of all funding files of a symbol, as one series.

    Raises
    ------
    MarketDataError
        At the first thing that cannot be used, with the name of the first file.
    """
    tables = [_table(path, ("funding_time",), ("funding_rate",)) for path in paths]
    tables.sort(
        key=lambda table: int(table["funding_time"][0]) if len(table["funding_time"]) else 0
    )
    time = np.concatenate([t["funding_time"] for t in tables]).astype(np.int64)
    rate = np.concatenate([t["funding_rate"] for t in tables]).astype(np.float64)
    name = paths[0].name
    _ascending(time, name)
    _finite(rate, "funding_rate", time, name)
    return time, rate


def _table(path: Path, times: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    """The wanted columns of a file as arrays."""
    try:
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.csv as pcsv
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ConfigurationError(
            [f"{path.name}: candle files need pyarrow, which is not installed here"]
        ) from error
    try:
        if path.suffix == ".parquet":
            # Not read_table, which goes through datasets and imports pandas.
            with pq.ParquetFile(path) as file:
                table = file.read()
        else:
            table = pcsv.read_csv(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise MarketDataError(f"{path.name}: cannot be read: {error}") from error
    missing = [key for key in (*times, *numbers) if key not in table.column_names]
    if missing:
        raise MarketDataError(
            f"{path.name}: column {', '.join(missing)} is missing; it has "
            f"{', '.join(table.column_names)}"
        )
    arrays: Table = {}
    for key in (*times, *numbers):
        wanted = pa.int64() if key in times else pa.float64()
        try:
            column = pc.cast(table[key], wanted)
        except pa.ArrowInvalid as error:
            raise MarketDataError(f"{path.name}: column {key} is not numeric: {error}") from error
        if column.null_count:
            row = column.is_null().to_pylist().index(True) + 1
            raise MarketDataError(f"{path.name}: {key} is not a number in row {row}")
        # By way of the buffer: pyarrow's own conversion imports pandas.
        chunk = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], wanted)
        dtype = np.int64 if key in times else np.float64
        arrays[key] = np.frombuffer(chunk.buffers()[1] or b"", dtype)[
            chunk.offset : chunk.offset + len(chunk)
        ]
    return arrays


def _ascending(time: NDArray[np.int64], name: str) -> None:
    wrong = np.flatnonzero(np.diff(time) <= 0)
    if len(wrong):
        row = int(wrong[0]) + 1
        what = "is doubled" if time[row] == time[row - 1] else "is not in order"
        raise MarketDataError(
            f"{name}: row {row + 1} ({iso(int(time[row]))}) {what}; sort the file by time and "
            "remove duplicates"
        )


def _finite(column: Column, key: str, time: NDArray[np.int64], name: str) -> None:
    wrong = np.flatnonzero(~np.isfinite(column))
    if len(wrong):
        raise MarketDataError(f"{name}: {key} is not a number at {iso(int(time[wrong[0]]))}")


def _plausible(values: dict[str, Column], time: NDArray[np.int64], name: str) -> None:
    opened, high, low, close = (values[key] for key in PRICES)
    wrong = (
        (low <= 0.0)
        | (high < np.maximum(opened, close))
        | (low > np.minimum(opened, close))
        | (values["volume"] < 0.0)
    )
    rows = np.flatnonzero(wrong)
    if len(rows):
        row = int(rows[0])
        figures = ", ".join(f"{key} {column[row]:g}" for key, column in values.items())
        raise MarketDataError(f"{name}: no candle can be {figures} ({iso(int(time[row]))})")
