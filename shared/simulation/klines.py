"""Candles as the venue shows them: resampled from base bars, the newest one still forming."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from shared.market.timeframe import DAY_MS, duration_ms
from shared.simulation.core import VenueCore
from shared.simulation.refusal import VenueRefusal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from shared.simulation.source import MarketSource

#: Bars up to which arrays cost more than they save, and numpy adds volumes one by one as we do.
_FEW = 7

#: open time, open, high, low, close, volume
Row = tuple[int, float, float, float, float, float]


def klines(
    core: VenueCore,
    symbol: str,
    timeframe: str,
    *,
    start: int | None = None,
    end: int | None = None,
    limit: int = 500,
    mark: bool = False,
) -> list[Row]:
    """Candles with ``start <= open time <= end``, ascending, at most ``limit``.

    With ``start`` the oldest that fit, otherwise the newest. The last row is the forming candle
    when the range reaches it. History ends where the source's does.

    Raises
    ------
    VenueRefusal
        -1120 when the time frame is not a multiple of the source's.
    """
    core.contract(symbol)
    step = duration_ms(timeframe)
    if step % core.bar_ms:
        raise VenueRefusal(-1120, "Invalid interval.")
    current = core.now - core.now % step
    last = current if end is None else min(current, end - end % step)
    begin = -(-core.source.first_time(symbol) // step) * step
    if start is None:
        first = last - (limit - 1) * step
    else:
        # A start before the listing means the first candles there are.
        first = max(-(-start // step) * step, _oldest(core, symbol, timeframe, begin, mark))
        last = min(last, first + (limit - 1) * step)
    rows = [] if mark else _older(core, symbol, timeframe, first, min(begin, last + step))
    first = max(first, begin)
    if last < first:
        return rows
    stop = min(last + step, current)
    if step == DAY_MS and core.bar_ms < step:
        rows += _days(core, symbol, first, stop, mark)
    else:
        rows += _closed(core, symbol, step, first, stop, mark)
    if last == current:
        rows.append(_forming(core, symbol, current, mark))
    return rows


def _oldest(core: VenueCore, symbol: str, timeframe: str, begin: int, mark: bool) -> int:
    older = None if mark else core.source.older(symbol, timeframe)
    return min(begin, int(older.open_time[0])) if older is not None and len(older) else begin


def _older(core: VenueCore, symbol: str, timeframe: str, first: int, stop: int) -> list[Row]:
    """Recorded candles from before the base bars, where the source has some of this length."""
    older = core.source.older(symbol, timeframe) if first < stop else None
    if older is None:
        return []
    low, high = older.open_time.searchsorted((first, stop)).tolist()
    part = older.window(low, high)
    columns = (part.open_time, part.open, part.high, part.low, part.close, part.volume)
    return list(zip(*(x.tolist() for x in columns), strict=True))


#: By source: rows of whole days by symbol, mark and open time. They are made of 1,440 bars each
#: and asked for a year at a time; the same question has the same answer.
_made: WeakKeyDictionary[MarketSource, dict[tuple[str, bool, int], Row]] = WeakKeyDictionary()
#: Days made at once: what is made stays made when whoever asked has gone.
_DAYS = 16


def _days(core: VenueCore, symbol: str, first: int, stop: int, mark: bool) -> list[Row]:
    """Closed candles of a day, each made once."""
    known = _made.setdefault(core.source, {})
    wanted = range(first, stop, DAY_MS)
    missing = [day for day in wanted if (symbol, mark, day) not in known]
    while missing:
        begin = missing[0]
        part = [day for day in missing if day < begin + _DAYS * DAY_MS]
        for row in _closed(core, symbol, DAY_MS, begin, part[-1] + DAY_MS, mark):
            known[symbol, mark, row[0]] = row
        missing = missing[len(part) :]
    return [known[key] for day in wanted if (key := (symbol, mark, day)) in known]


def _closed(
    core: VenueCore, symbol: str, step: int, first: int, stop: int, mark: bool
) -> list[Row]:
    if stop <= first:
        return []
    columns = core.source.columns(symbol, first, stop, mark=mark)
    if not len(columns):
        return []
    times: NDArray[np.int64] = columns.open_time
    o, h, low, c, v = columns.open, columns.high, columns.low, columns.close, columns.volume
    if step > core.bar_ms:
        if len(times) <= _FEW:
            bars = [x.tolist() for x in (times, o, h, low, c, v)]
            return _grouped(zip(*bars, strict=True), step)
        import numpy as np

        group = times // step
        edges = np.concatenate(([0], np.nonzero(np.diff(group))[0] + 1))
        ends = np.concatenate((edges[1:], [len(times)])) - 1
        times = group[edges] * step
        o, c = o[edges], c[ends]
        h, low = np.maximum.reduceat(h, edges), np.minimum.reduceat(low, edges)
        v = np.add.reduceat(v, edges)
    listed: list[list[Any]] = [x.tolist() for x in (times, o, h, low, c, v)]
    return list(zip(*listed, strict=True))


def _grouped(bars: Iterable[Row], step: int) -> list[Row]:
    """Candles of a few bars, by hand: that is what is asked for all the time."""
    rows: list[Row] = []
    for at, first, high, low, close, volume in bars:
        opened = at - at % step
        if rows and rows[-1][0] == opened:
            _, o, h, lo, _, v = rows[-1]
            rows[-1] = (opened, o, max(h, high), min(lo, low), close, v + volume)
        else:
            rows.append((opened, first, high, low, close, volume))
    return rows


def _forming(core: VenueCore, symbol: str, current: int, mark: bool) -> Row:
    path = core.path(symbol)
    bar = path.bar
    high, low = path.range_until(core.now, mark=mark)
    last, mark_price = path.at(core.now)
    close = mark_price if mark else last
    share = (core.now - bar.open_time) / core.bar_ms
    volume = 0.0 if mark else bar.volume * share
    first = bar.mark_open if mark else bar.open
    if bar.open_time > current:
        # None where the source ended before this candle: there the price stands still.
        before = _closed(core, symbol, core.bar_ms, current, bar.open_time, mark)
        first = before[0][1] if before else first
        high = max([high, *(row[2] for row in before)])
        low = min([low, *(row[3] for row in before)])
        volume += sum(row[5] for row in before)
    return (current, first, high, low, close, volume)
