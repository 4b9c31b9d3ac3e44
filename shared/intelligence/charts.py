"""Chart patterns of a symbol now, for people. Nothing here is on the way of an order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from shared.errors import InvalidInput
from shared.indicators.chart_found import Found, found
from shared.indicators.chart_patterns import Rules
from shared.market.timeframe import duration_ms

if TYPE_CHECKING:
    from shared.strategies.recent import RecentCandles


class ChartPatterns(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Patterns of a symbol as of its last closed bar.

    Parameters
    ----------
    bar_close_time : int
        Of the last closed bar, UTC milliseconds.
    close : float
        At that bar.
    patterns : list of Found
        Those that became known within the last ``span`` bars, the latest last.
    """

    symbol: str
    timeframe: str
    bar_close_time: int
    close: float
    span: int
    patterns: list[Found]


def known_symbol(symbol: str, symbols: Sequence[str]) -> None:
    """Refuse a symbol that is not configured.

    Raises
    ------
    InvalidInput
        Naming those that are.
    """
    if symbol not in symbols:
        raise InvalidInput(f"unknown symbol {symbol!r}; use one of {', '.join(symbols)}")


def chart_patterns(
    recent: RecentCandles, symbol: str, timeframe: str, rules: Rules | None = None
) -> ChartPatterns:
    """Patterns that are forming, have broken out or came to nothing of late.

    Raises
    ------
    InvalidInput
        For an unknown time frame, or a contract with too little history.
    ExchangeError, MarketDataError
        When the candles cannot be had.
    """
    rules = rules or Rules()
    step = duration_ms(timeframe)
    columns = recent.columns(symbol, timeframe, rules.history + rules.span)
    if len(columns) < rules.history:
        raise InvalidInput(
            f"{symbol} {timeframe}: {len(columns)} bars, patterns need {rules.history}"
        )
    closed = int(columns.open_time[-1]) + step
    since = closed - rules.span * step
    return ChartPatterns(
        symbol=symbol,
        timeframe=timeframe,
        bar_close_time=closed,
        close=float(columns.close[-1]),
        span=rules.span,
        patterns=[one for one in found(columns, rules) if one.known > since],
    )
