"""Markets that end: what a search is given holds nothing after the end of its training span.

The arrays are copies that stop there, not views of longer ones, so there is no way from them to
what comes later. What a search has seen is read off the data it got, not taken on trust.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from shared.clock import iso
from shared.errors import InvalidInput
from shared.market.candle import Columns
from shared.market.files import Funding, SymbolMarket
from shared.market.timeframe import duration_ms

#: Candles, mark prices and funding by symbol.
Market = Mapping[str, SymbolMarket]

_ARRAYS = ("open_time", "open", "high", "low", "close", "volume")


def sealed(market: Market, end_ms: int) -> dict[str, SymbolMarket]:
    """The market as it was known at ``end_ms``: candles closed by then, funding settled before.

    Raises
    ------
    InvalidInput
        When a symbol has no candle by then.
    """
    return {symbol: _sealed(one, end_ms) for symbol, one in market.items()}


def seen_until(market: Market) -> int:
    """The last moment that anything in the market tells about, UTC milliseconds."""
    latest = 0
    for one in market.values():
        for columns in (one.candles, *one.longer.values(), *([one.mark] if one.mark else [])):
            if len(columns):
                latest = max(latest, int(columns.open_time[-1]) + duration_ms(columns.timeframe))
        if one.funding is not None and len(one.funding.time):
            latest = max(latest, int(one.funding.time[-1]))
    return latest


def market_digest(market: Market) -> str:
    """BLAKE2 over every array, as hex: equal data, equal digest."""
    digest = hashlib.blake2b(digest_size=16)
    for symbol in sorted(market):
        one = market[symbol]
        digest.update(symbol.encode())
        frames = [("candles", one.candles), *sorted(one.longer.items())]
        frames += [("mark", one.mark)] if one.mark is not None else []
        for name, columns in frames:
            digest.update(f"|{name}|{columns.timeframe}".encode())
            for array in _ARRAYS:
                digest.update(np.ascontiguousarray(getattr(columns, array)).data)
        if one.funding is not None:
            digest.update(np.ascontiguousarray(one.funding.time).data)
            digest.update(np.ascontiguousarray(one.funding.rate).data)
    return digest.hexdigest()


def _sealed(one: SymbolMarket, end_ms: int) -> SymbolMarket:
    candles = _until(one.candles, end_ms)
    if not len(candles):
        first = int(one.candles.open_time[0])
        raise InvalidInput(
            f"{one.candles.symbol}: nothing is known at {iso(end_ms)}; candles begin {iso(first)}"
        )
    funding = None
    if one.funding is not None:
        stop = int(np.searchsorted(one.funding.time, end_ms))
        funding = Funding(one.funding.time[:stop].copy(), one.funding.rate[:stop].copy())
    end = int(candles.open_time[-1]) + duration_ms(candles.timeframe)
    return SymbolMarket(
        symbol=one.symbol,
        candles=candles,
        start_ms=min(one.start_ms, end),
        end_ms=end,
        longer={name: _until(columns, end_ms) for name, columns in one.longer.items()},
        mark=None if one.mark is None else _until(one.mark, end_ms),
        funding=funding,
    )


def _until(columns: Columns, end_ms: int) -> Columns:
    """Copies of the bars that are closed by then."""
    stop = int(
        np.searchsorted(columns.open_time, end_ms - duration_ms(columns.timeframe), side="right")
    )
    return Columns(
        columns.symbol,
        columns.timeframe,
        *(getattr(columns, name)[:stop].copy() for name in _ARRAYS),
    )
