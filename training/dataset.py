"""Candles to rows: the features that the application computes live, and their labels.

Features come from ``shared.intelligence.features`` and nowhere else, so training and serving
cannot differ. A row is a bar whose label is known and whose features, and those of the bars a
sequence looks back on, are all there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInput, MarketDataError
from shared.intelligence.features import feature_history, matrix
from shared.intelligence.labels import NONE, Barriers, triple_barrier
from shared.market.candle import Columns
from shared.market.candle_folder import candle_files, candle_runs
from shared.market.resample import resample
from shared.market.timeframe import duration_ms

Floats = NDArray[np.float32]
Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows of all symbols, in order of time.

    Parameters
    ----------
    features : float32 array of shape (bars, features)
        Of every bar of every run of candles, one run after the other.
    bar : int64 array
        Per row, its place in ``features``.
    label : int8 array
        Per row: 0 down, 1 flat, 2 up.
    opened, time, known : int64 arrays
        Per row, UTC milliseconds: when its bar opens, when that closes and the row is decided
        on, and when its label is known.
    lookback : int
        Bars a sequence may look back on, the row's own included.
    """

    features: Floats
    bar: Places
    label: NDArray[np.int8]
    opened: NDArray[np.int64]
    time: NDArray[np.int64]
    known: NDArray[np.int64]
    lookback: int
    timeframe: str
    symbols: tuple[str, ...]
    barriers: Barriers

    def __len__(self) -> int:
        return len(self.bar)

    def tabular(self, rows: Places) -> Floats:
        """Features of rows, of shape (rows, features)."""
        found: Floats = self.features[self.bar[rows]]
        return found

    def sequences(self, rows: Places, lookback: int) -> Floats:
        """Features of the last ``lookback`` bars of rows: (rows, lookback, features)."""
        if not 1 <= lookback <= self.lookback:
            raise InvalidInput(f"a look-back of {lookback}; the rows have {self.lookback} bars")
        found: Floats = self.features[self.bar[rows][:, None] + np.arange(1 - lookback, 1)]
        return found


def dataset(
    runs: Mapping[str, Sequence[Columns]],
    barriers: Barriers,
    *,
    lookback: int = 1,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> Dataset:
    """Rows of candles.

    Parameters
    ----------
    runs : mapping of str to sequence of Columns
        Per symbol, candles without holes, all of one time frame.
    start_ms, end_ms : int, optional
        Rows of bars that open from ``start_ms`` on and whose label is known by ``end_ms``.

    Raises
    ------
    InvalidInput
        When no row can be made, saying how many bars one needs.
    """
    found = [_Rows(columns, barriers, lookback) for symbol in runs for columns in runs[symbol]]
    timeframes = {one.columns.timeframe for one in found}
    if len(timeframes) > 1:
        raise InvalidInput(f"candles of one time frame are needed, not {', '.join(timeframes)}")
    offsets = np.cumsum([0, *(len(one.columns) for one in found)])
    places = [one.places + offset for one, offset in zip(found, offsets, strict=False)]
    bar = _joined(places)
    opened = _joined([one.columns.open_time[one.places] for one in found])
    known = _joined([one.known for one in found])
    label = _joined([one.label for one in found]).astype(np.int8)
    keep = np.ones(len(bar), dtype=bool)
    if start_ms is not None:
        keep &= opened >= start_ms
    if end_ms is not None:
        keep &= known <= end_ms
    if not keep.any():
        needed = feature_history() + lookback + barriers.horizon_bars
        raise InvalidInput(
            f"{', '.join(runs)}: no row to learn from; one needs {needed} bars without a hole, "
            "inside the dates that were given"
        )
    # Of equal times the symbol that was named first comes first.
    order = np.flatnonzero(keep)[np.argsort(opened[keep], kind="stable")]
    (timeframe,) = timeframes
    return Dataset(
        features=np.concatenate([one.features for one in found]),
        bar=bar[order],
        label=label[order],
        opened=opened[order],
        time=opened[order] + duration_ms(timeframe),
        known=known[order],
        lookback=lookback,
        timeframe=timeframe,
        symbols=tuple(runs),
        barriers=barriers,
    )


class _Rows:
    """The usable bars of one run of candles."""

    def __init__(self, columns: Columns, barriers: Barriers, lookback: int) -> None:
        labels = triple_barrier(columns, barriers)
        self.columns = columns
        self.features = matrix(columns)
        whole = np.isfinite(self.features).all(axis=1)
        # How many bars in a row have all features, up to each one.
        number = np.arange(len(columns))
        missing = np.maximum.accumulate(np.where(whole, -1, number)) if len(number) else number
        usable = (number - missing >= lookback) & (labels.outcome != NONE)
        self.places = np.flatnonzero(usable)
        self.label = labels.outcome[self.places]
        step = duration_ms(columns.timeframe)
        self.known = columns.open_time[labels.end[self.places]] + step


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def from_folder(
    folder: Path,
    symbols: Sequence[str],
    timeframe: str,
    *,
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, list[Columns]]:
    """Candles of a folder as runs without holes.

    Where there is no file of the time frame, candles are made of the longest shorter one there.

    Parameters
    ----------
    symbols : sequence of str
        None: all that the folder has candles of.
    note : callable
        Told what a reader of the result should know.

    Raises
    ------
    InvalidInput, MarketDataError
        Saying which file, symbol or time frame is the trouble.
    """
    duration_ms(timeframe)
    files = [file for file in candle_files(folder) if file.kind == "candles"]
    there = sorted({file.symbol for file in files})
    unknown = [symbol for symbol in symbols if symbol not in there]
    if unknown:
        raise InvalidInput(
            f"{folder}: no candles of {', '.join(unknown)}; there are candles of {', '.join(there)}"
        )
    found = {}
    for symbol in symbols or there:
        frames = {file.timeframe for file in files if file.symbol == symbol}
        source = _source(frames, timeframe)
        if source is None:
            raise InvalidInput(
                f"{folder}: {timeframe} candles of {symbol} cannot be made of "
                f"{', '.join(sorted(frames, key=duration_ms))}"
            )
        runs = [resample(run, timeframe) for run in candle_runs(folder, symbol, source)]
        if len(runs) > 1:
            note(f"{symbol}: {len(runs)} runs of candles with holes between; no row spans one")
        found[symbol] = [run for run in runs if len(run)]
        if not found[symbol]:
            raise MarketDataError(f"{folder}: no whole {timeframe} candle of {symbol}")
        if not any(run.volume.any() for run in found[symbol]):
            note(f"{symbol}: the candles have no volume; features of it are constant")
    return found


def _source(frames: set[str], timeframe: str) -> str | None:
    """The time frame to read: the wanted one, else the longest that makes it."""
    wanted = duration_ms(timeframe)
    able = [frame for frame in frames if wanted % duration_ms(frame) == 0]
    return max(able, key=duration_ms, default=None)
