"""Candle files: real history for replay, backtest and tests.

A folder holds, as parquet or CSV with the same columns:

=========================  ==============================================================
``BTCUSDT-1h``             candles: open_time, open, high, low, close, volume
``BTCUSDT-1m-2025``        candles, one of several files of a time frame (any suffix)
``BTCUSDT-1h-mark``        mark-price candles: open_time, open, high, low, close
``BTCUSDT-funding``        funding_time, funding_rate
=========================  ==============================================================

Times are UTC milliseconds, volume is in the base asset. Nothing is repaired: what cannot be used
is refused with the file, the row and what to do.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.clock import iso
from shared.errors import ConfigurationError, InvalidInput, MarketDataError
from shared.market.candle import Columns
from shared.market.timeframe import DAY_MS, TIMEFRAMES, duration_ms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Column = NDArray[np.float64]
    Table = dict[str, NDArray[Any]]

_NAME = re.compile(
    r"(?P<symbol>[A-Z0-9]+)-(?:(?P<funding>funding)|(?P<timeframe>\d+[mhd])(?P<rest>-.+)?)$"
)
_SUFFIXES = (".parquet", ".csv")
_PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True, eq=False)
class Funding:
    """Settled funding: ``rate`` at ``time`` (UTC ms), positive when longs pay."""

    time: NDArray[np.int64]
    rate: Column


@dataclass(frozen=True, eq=False)
class SymbolMarket:
    """What the files say about one symbol.

    ``candles`` are of the finest time frame that covers the range and begin up to ``warmup``
    bars before ``start_ms``. ``longer`` are up to as many candles of each longer time frame in the
    folder that ``candles`` cannot make because they open before them, for decisions on longer
    bars right from the start; the last of them may close after ``candles`` begin. ``mark`` and
    ``funding`` are ``None`` where there is no file; else they cover the span of ``candles`` as
    far as they reach.
    """

    symbol: str
    candles: Columns
    start_ms: int
    end_ms: int
    longer: dict[str, Columns]
    mark: Columns | None
    funding: Funding | None

    @property
    def warmup(self) -> int:
        """Number of candles before ``start_ms``."""
        return int(np.searchsorted(self.candles.open_time, self.start_ms))


@dataclass(frozen=True)
class CandleFile:
    """What a file's name says: ``kind`` is ``candles``, ``mark`` or ``funding``."""

    path: Path
    symbol: str
    kind: str
    timeframe: str


def candle_files(folder: Path) -> list[CandleFile]:
    """The files of a folder whose names are those of candle files, by name.

    Raises
    ------
    InvalidInput
        When there is no such folder, or none in it.
    """
    if not folder.is_dir():
        raise InvalidInput(f"{folder}: no such folder; give one that holds candle files")
    found: list[CandleFile] = []
    for file in sorted(folder.iterdir()):
        match = _NAME.match(file.stem)
        if file.suffix not in _SUFFIXES or not match:
            continue
        if match["funding"]:
            found.append(CandleFile(file, match["symbol"], "funding", ""))
        elif match["timeframe"] in TIMEFRAMES:
            kind = "mark" if (match["rest"] or "").startswith("-mark") else "candles"
            found.append(CandleFile(file, match["symbol"], kind, match["timeframe"]))
    if not found:
        raise InvalidInput(
            f"{folder}: no candle file; they are named like BTCUSDT-1h.parquet "
            "or BTCUSDT-1m-2025.csv"
        )
    return found


def load_market(
    folder: Path | str,
    symbols: Sequence[str],
    start_ms: int,
    end_ms: int,
    *,
    warmup_bars: int = 0,
) -> dict[str, SymbolMarket]:
    """Candles, mark prices and funding of several symbols for ``start_ms <= time < end_ms``.

    The finest time frame whose files hold candles on the first and on the last day (UTC) of the
    range is taken, for each symbol by itself; files of one time frame are joined. Trading can
    begin later on the first day, or end earlier on the last, than the range says: the result's
    ``start_ms`` and ``end_ms`` are what the candles really cover.

    Parameters
    ----------
    folder : path
    symbols : sequence of str
    start_ms, end_ms : int
        UTC milliseconds, end exclusive.
    warmup_bars : int
        Candles wanted before the range; as many as there are are given.

    Raises
    ------
    InvalidInput
        When the folder, a symbol or the range is not there, saying what is.
    MarketDataError
        When a file cannot be used as it is, or has a hole in the range, saying where and why.
    """
    if end_ms <= start_ms:
        raise InvalidInput(f"the range ends ({iso(end_ms)}) before it begins ({iso(start_ms)})")
    if not symbols:
        raise InvalidInput("name at least one symbol")
    listing = _Folder(Path(folder))
    return {symbol: _load(listing, symbol, start_ms, end_ms, warmup_bars) for symbol in symbols}


def candle_runs(folder: Path | str, symbol: str, timeframe: str) -> list[Columns]:
    """All candles of a symbol and time frame, as runs without holes in order of time.

    Raises
    ------
    InvalidInput
        When there is no such folder, or no file of them in it.
    MarketDataError
        When a file cannot be used as it is, saying where and why.
    """
    listing = _Folder(Path(folder))
    if not listing.of(symbol, "candles", timeframe):
        raise InvalidInput(f"{folder}: no {timeframe} candles of {symbol}")
    return listing.runs(symbol, "candles", timeframe)


class _Folder:
    """The candle files of a folder, each read at most once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = candle_files(path)
        self._read: dict[Path, list[Columns]] = {}

    def frames(self, symbol: str, kind: str) -> list[str]:
        """Time frames there are, finest first."""
        found = {f.timeframe for f in self.files if f.symbol == symbol and f.kind == kind}
        return sorted(found, key=duration_ms)

    def of(self, symbol: str, kind: str, timeframe: str = "") -> list[CandleFile]:
        wanted = (symbol, kind, timeframe)
        return [f for f in self.files if (f.symbol, f.kind, f.timeframe) == wanted]

    def pieces(self, file: CandleFile) -> list[Columns]:
        """The consecutive runs of candles in one file."""
        if file.path not in self._read:
            self._read[file.path] = _read_candles(file)
        return self._read[file.path]

    def runs(self, symbol: str, kind: str, timeframe: str) -> list[Columns]:
        """Candles of all files of a time frame, joined where one continues another."""
        pieces = [p for f in self.of(symbol, kind, timeframe) for p in self.pieces(f)]
        pieces.sort(key=lambda piece: int(piece.open_time[0]))
        runs: list[Columns] = []
        for piece in pieces:
            if runs and int(piece.open_time[0]) <= _end(runs[-1]):
                runs[-1] = _joined(runs[-1], piece)
            else:
                runs.append(piece)
        return runs

    def refuse_hole(
        self, symbol: str, kind: str, timeframe: str, start_ms: int, end_ms: int
    ) -> None:
        """A file that has candles before and after a hole in the range, and none in it."""
        runs = self.runs(symbol, kind, timeframe)
        for file in self.of(symbol, kind, timeframe):
            for piece in self.pieces(file)[:-1]:
                hole = _end(piece)
                whole = next(run for run in runs if int(run.open_time[0]) < hole <= _end(run))
                if hole < _end(whole):
                    continue  # another file fills it
                resumes = next(int(r.open_time[0]) for r in runs if int(r.open_time[0]) > hole)
                if hole < end_ms and resumes > start_ms:
                    bars = (resumes - hole) // duration_ms(timeframe)
                    raise MarketDataError(
                        f"{file.path.name}: {bars} candle(s) missing from {iso(hole)} to "
                        f"{iso(resumes)}; add them, or choose a range on one side"
                    )


def _end(run: Columns) -> int:
    """First millisecond after the last candle."""
    return int(run.open_time[-1]) + duration_ms(run.timeframe)


def _load(
    folder: _Folder, symbol: str, start_ms: int, end_ms: int, warmup_bars: int
) -> SymbolMarket:
    frames = folder.frames(symbol, "candles")
    if not frames:
        known = ", ".join(sorted({f.symbol for f in folder.files if f.kind == "candles"}))
        raise InvalidInput(f"{folder.path}: no candles of {symbol}; there are candles of {known}")
    held: list[str] = []
    for timeframe in frames:
        folder.refuse_hole(symbol, "candles", timeframe, start_ms, end_ms)
        runs = folder.runs(symbol, "candles", timeframe)
        for run in runs:
            if _covers(run, start_ms, end_ms):
                return _market(folder, run, start_ms, end_ms, warmup_bars)
        held += [f"{timeframe} {iso(int(r.open_time[0]))} to {iso(_end(r))}" for r in runs]
    raise InvalidInput(
        f"{folder.path}: no candles of {symbol} cover {iso(start_ms)} to {iso(end_ms)}; "
        f"there are {'; '.join(held)}"
    )


def _covers(run: Columns, start_ms: int, end_ms: int) -> bool:
    first, end = int(run.open_time[0]), _end(run)
    on_first_day = first < (start_ms // DAY_MS + 1) * DAY_MS
    on_last_day = end > (end_ms - 1) // DAY_MS * DAY_MS
    return on_first_day and on_last_day and first < end_ms and end > start_ms


def _market(
    folder: _Folder, run: Columns, start_ms: int, end_ms: int, warmup_bars: int
) -> SymbolMarket:
    step = duration_ms(run.timeframe)
    start = int(np.searchsorted(run.open_time, start_ms))
    stop = int(np.searchsorted(run.open_time, end_ms - step, side="right"))
    if stop <= start:
        raise InvalidInput(
            f"{run.symbol}: no whole {run.timeframe} candle "
            f"between {iso(start_ms)} and {iso(end_ms)}"
        )
    candles = run.window(max(0, start - warmup_bars), stop)
    low, high = int(candles.open_time[0]), _end(candles)
    longer = {}
    for timeframe in folder.frames(run.symbol, "candles"):
        if duration_ms(timeframe) > step:
            before = _before(folder, run.symbol, timeframe, low, warmup_bars)
            if before is not None:
                longer[timeframe] = before
    return SymbolMarket(
        symbol=run.symbol,
        candles=candles,
        start_ms=int(run.open_time[start]),
        end_ms=high,
        longer=longer,
        mark=_mark(folder, run.symbol, low, high),
        funding=_funding(folder.of(run.symbol, "funding"), low, high),
    )


def _before(folder: _Folder, symbol: str, timeframe: str, low: int, bars: int) -> Columns | None:
    """The last candles of a longer time frame that candles from ``low`` on cannot make."""
    step = duration_ms(timeframe)
    first_whole = -(-low // step) * step
    for run in folder.runs(symbol, "candles", timeframe):
        stop = int(np.searchsorted(run.open_time, first_whole))
        if bars and stop and int(run.open_time[stop - 1]) == first_whole - step:
            return run.window(max(0, stop - bars), stop)
    return None


def _mark(folder: _Folder, symbol: str, low: int, high: int) -> Columns | None:
    """The finest mark-price candles that overlap the span."""
    for timeframe in folder.frames(symbol, "mark"):
        folder.refuse_hole(symbol, "mark", timeframe, low, high)
        for run in folder.runs(symbol, "mark", timeframe):
            start = int(np.searchsorted(run.open_time, low - duration_ms(timeframe), side="right"))
            stop = int(np.searchsorted(run.open_time, high))
            if stop > start:
                return run.window(start, stop)
    return None


def _funding(files: list[CandleFile], low: int, high: int) -> Funding | None:
    if not files:
        return None
    tables = [_table(f.path, ("funding_time",), ("funding_rate",)) for f in files]
    tables.sort(
        key=lambda table: int(table["funding_time"][0]) if len(table["funding_time"]) else 0
    )
    time = np.concatenate([t["funding_time"] for t in tables]).astype(np.int64)
    rate = np.concatenate([t["funding_rate"] for t in tables]).astype(np.float64)
    name = files[0].path.name
    _ascending(time, name)
    _finite(rate, "funding_rate", time, name)
    start, stop = (int(np.searchsorted(time, edge)) for edge in (low, high))
    return Funding(time[start:stop], rate[start:stop])


def _joined(a: Columns, b: Columns) -> Columns:
    """Two overlapping or adjacent runs as one; where they overlap they must agree."""
    step = duration_ms(a.timeframe)
    offset = (int(b.open_time[0]) - int(a.open_time[0])) // step
    shared = min(len(a) - offset, len(b))
    for name in ("open_time", *_PRICES, "volume"):
        ours = getattr(a, name)[offset : offset + shared]
        differs = np.flatnonzero(ours != getattr(b, name)[:shared])
        if len(differs):
            at = int(a.open_time[offset + int(differs[0])])
            raise MarketDataError(
                f"{a.symbol} {a.timeframe}: two files disagree on {name} at {iso(at)}; remove one"
            )
    if shared == len(b):
        return a
    return Columns(
        a.symbol,
        a.timeframe,
        np.concatenate((a.open_time, b.open_time[shared:])),
        *(
            np.concatenate((getattr(a, name), getattr(b, name)[shared:]))
            for name in (*_PRICES, "volume")
        ),
    )


def _read_candles(file: CandleFile) -> list[Columns]:
    """One candle file, checked row by row, as runs without holes."""
    name = file.path.name
    with_volume = file.kind == "candles"
    table = _table(file.path, ("open_time",), (*_PRICES, "volume") if with_volume else _PRICES)
    time = table["open_time"].astype(np.int64)
    if len(time) == 0:
        raise MarketDataError(f"{name}: the file has no row")
    values = {key: table[key].astype(np.float64) for key in _PRICES}
    values["volume"] = table["volume"].astype(np.float64) if with_volume else np.zeros(len(time))
    step = duration_ms(file.timeframe)
    _ascending(time, name)
    off = np.flatnonzero(time % step)
    if len(off):
        raise MarketDataError(
            f"{name}: row {off[0] + 1} opens at {iso(int(time[off[0]]))}, "
            f"which is no {file.timeframe} boundary"
        )
    for key, column in values.items():
        _finite(column, key, time, name)
    _plausible(values, time, name)
    whole = Columns(file.symbol, file.timeframe, time, *values.values())
    edges = [0, *(np.flatnonzero(np.diff(time) != step) + 1).tolist(), len(time)]
    return [whole.window(a, b) for a, b in itertools.pairwise(edges)]


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
    opened, high, low, close = (values[key] for key in _PRICES)
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
