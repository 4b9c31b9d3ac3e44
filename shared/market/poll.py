"""Polling closed candles: the way of the data when no streamer runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping

from shared.clock import Clock
from shared.errors import ExchangeError
from shared.execution.exchange import Exchange
from shared.market.candle import Candle
from shared.market.timeframe import duration_ms, last_closed

#: Bars fetched at most to catch up after missed polls; consumers repair longer gaps themselves.
CATCH_UP = 99


def poll(
    exchange: Exchange,
    plan: Mapping[str, Iterable[str]],
    clock: Clock,
    published: MutableMapping[tuple[str, str], int],
) -> list[Candle]:
    """Candles that closed since the last call, oldest first.

    Parameters
    ----------
    plan : mapping
        Symbol -> time frames.
    published : mutable mapping
        (symbol, time frame) -> open time of the last candle handed out; updated here.

    Raises
    ------
    ExchangeError
        When nothing at all could be read; one symbol's failure alone only delays that symbol.
    """
    found: list[Candle] = []
    failures: list[ExchangeError] = []
    asked = 0
    for symbol, timeframes in plan.items():
        for timeframe in timeframes:
            now = clock.now_ms()
            step = duration_ms(timeframe)
            last = published.get((symbol, timeframe))
            if last is not None and now < last + 2 * step:
                continue  # the candle after it is not closed
            newest = last_closed(now, timeframe)
            missing = 1 if last is None else min(CATCH_UP, (newest - last) // step)
            asked += 1
            try:
                candles = exchange.candles(
                    symbol, timeframe, start=newest - (missing - 1) * step, limit=missing
                )
            except ExchangeError as error:
                failures.append(error)
                continue
            fresh = [c for c in candles if last is None or c.open_time > last]
            if fresh:
                published[symbol, timeframe] = fresh[-1].open_time
                found.extend(fresh)
    if failures and len(failures) == asked:
        raise failures[0]
    found.sort(key=lambda c: (c.close_time, c.symbol, c.timeframe))
    return found
