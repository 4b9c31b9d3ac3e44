"""A market from recorded candles, with mark prices and funding where they exist."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared.errors import MarketDataError
from shared.market.candle import Columns
from shared.market.timeframe import duration_ms
from shared.simulation.source import Bar, Settlement, scheduled_settlement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class _Series:
    """One symbol: columns for ranges, records for single bars (made when first needed)."""

    def __init__(self, candles: Columns, mark: Columns | None, step: int) -> None:
        self.candles = candles
        self.mark = _mark_of(candles, mark)
        self.first = int(candles.open_time[0])
        self.count = len(candles)
        self.step = step
        self._bars: list[Bar] = []

    def bar(self, index: int) -> Bar:
        if not self._bars:
            c, m = self.candles, self.mark
            columns: list[NDArray[Any]] = [c.open_time, c.open, c.high, c.low, c.close, c.volume]
            columns += [m.open, m.high, m.low, m.close]
            rows = zip(*(column.tolist() for column in columns), strict=True)
            self._bars = list(map(Bar._make, rows))
        return self._bars[index]


class CandleSource:
    """Recorded candles of one base time frame.

    Parameters
    ----------
    candles : mapping of str to Columns
        By symbol; gapless, all of the same time frame.
    mark : mapping of str to Columns, optional
        Mark price candles of the same or a coarser time frame. From coarser ones only the basis
        (mark to contract price) is taken and interpolated; without any, mark is contract price.
    funding : mapping of str to sequence of (int, float), optional
        Settlement times in UTC milliseconds with their rates. Where there are none, funding
        follows the 8-hour schedule at 0.01 %.
    older : mapping of str to mapping of str to Columns, optional
        By symbol and time frame: longer candles that open before the base candles, shown as the
        history that strategies start from.

    Raises
    ------
    MarketDataError
        Candles are missing, out of order, doubled or not of one time frame.
    """

    def __init__(
        self,
        candles: Mapping[str, Columns],
        *,
        mark: Mapping[str, Columns] | None = None,
        funding: Mapping[str, Sequence[tuple[int, float]]] | None = None,
        older: Mapping[str, Mapping[str, Columns]] | None = None,
    ) -> None:
        if not candles:
            raise MarketDataError("no candles: a market needs at least one symbol")
        frames = {columns.timeframe for columns in candles.values()}
        if len(frames) != 1:
            longest = max(frames, key=duration_ms)
            raise MarketDataError(
                f"candles of several base time frames: {sorted(frames)}; choose one that can be "
                f"made of all of them (--detail {longest})"
            )
        self.timeframe = frames.pop()
        self._step = duration_ms(self.timeframe)
        self._series: dict[str, _Series] = {}
        for symbol, columns in candles.items():
            _check(columns, self._step)
            self._series[symbol] = _Series(columns, (mark or {}).get(symbol), self._step)
        self._older = {s: dict(frames) for s, frames in (older or {}).items()}
        self._funding: dict[str, list[Settlement]] = {
            symbol: [Settlement(time, Decimal(str(rate))) for time, rate in sorted(rows)]
            for symbol, rows in (funding or {}).items()
        }

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self._series)

    def older(self, symbol: str, timeframe: str) -> Columns | None:
        return self._older.get(symbol, {}).get(timeframe)

    def first_time(self, symbol: str) -> int:
        return self._series[symbol].first

    def last_time(self, symbol: str) -> int:
        """First millisecond after the last candle."""
        series = self._series[symbol]
        return series.first + series.count * self._step

    def bar(self, symbol: str, open_time: int) -> Bar:
        series = self._series[symbol]
        index = (open_time - series.first) // self._step
        if 0 <= index < series.count:
            return series.bar(index)
        if index >= series.count:
            return series.bar(series.count - 1).flat(open_time)
        first = series.bar(0)
        p, m = first.open, first.mark_open
        return Bar(open_time, p, p, p, p, 0.0, m, m, m, m)

    def columns(self, symbol: str, start: int, stop: int, *, mark: bool = False) -> Columns:
        series = self._series[symbol]
        begin = max(0, -(-(start - series.first) // self._step))
        end = min(series.count, max(begin, -(-(stop - series.first) // self._step)))
        return (series.mark if mark else series.candles).window(begin, max(begin, end))

    def next_settlement(self, symbol: str, after: int) -> Settlement:
        rows = self._funding.get(symbol, [])
        at = bisect_right(rows, after, key=lambda row: row.time)
        return rows[at] if at < len(rows) else scheduled_settlement(after)

    def settlements(self, symbol: str, start: int, stop: int) -> list[Settlement]:
        rows = self._funding.get(symbol, [])
        known = rows[
            bisect_left(rows, start, key=lambda row: row.time) : bisect_left(
                rows, stop, key=lambda row: row.time
            )
        ]
        after = max(start - 1, rows[-1].time if rows else self.first_time(symbol) - 1)
        while (row := scheduled_settlement(after)).time < stop:
            known.append(row)
            after = row.time
        return known


def _check(columns: Columns, step: int) -> None:
    import numpy as np

    if len(columns) == 0:
        raise MarketDataError(f"{columns.symbol}: no candles")
    gaps = np.nonzero(np.diff(columns.open_time) != step)[0]
    if len(gaps):
        at = int(columns.open_time[gaps[0]])
        after = int(columns.open_time[gaps[0] + 1])
        raise MarketDataError(
            f"{columns.symbol}: after the {columns.timeframe} candle at {at} comes {after}; "
            f"{len(gaps)} such place(s)"
        )
    if int(columns.open_time[0]) % step:
        raise MarketDataError(f"{columns.symbol}: candles do not open on the {step} ms grid")


def _mark_of(candles: Columns, mark: Columns | None) -> Columns:
    """Mark price columns on the rows of ``candles``."""
    import numpy as np

    basis: NDArray[np.float64]
    if mark is None or len(mark) == 0:
        basis = np.ones(len(candles))
    elif mark.timeframe == candles.timeframe:
        return _aligned_mark(candles, mark)
    else:
        rows = np.searchsorted(candles.open_time, mark.open_time)
        usable = (rows < len(candles)) & (
            candles.open_time[np.minimum(rows, len(candles) - 1)] == mark.open_time
        )
        if not usable.any():
            basis = np.ones(len(candles))
        else:
            at = rows[usable]
            ratio = mark.open[usable] / candles.open[at]
            basis = np.interp(candles.open_time, mark.open_time[usable], ratio)
    return Columns(
        candles.symbol,
        candles.timeframe,
        candles.open_time,
        candles.open * basis,
        candles.high * basis,
        candles.low * basis,
        candles.close * basis,
        np.zeros(len(candles)),
    )


def _aligned_mark(candles: Columns, mark: Columns) -> Columns:
    """Mark candles of the same time frame; contract prices where mark rows are missing."""
    import numpy as np

    rows = np.searchsorted(mark.open_time, candles.open_time)
    safe = np.minimum(rows, len(mark) - 1)
    there = mark.open_time[safe] == candles.open_time

    def pick(of_mark: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(there, of_mark[safe], own)

    return Columns(
        candles.symbol,
        candles.timeframe,
        candles.open_time,
        pick(mark.open, candles.open),
        pick(mark.high, candles.high),
        pick(mark.low, candles.low),
        pick(mark.close, candles.close),
        np.zeros(len(candles)),
    )
