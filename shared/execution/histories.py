"""Daily candles of the contracts held, asked for once a day and kept."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable

from shared.clock import Clock
from shared.errors import ExchangeError, ExchangeRejected, ExchangeUnavailable
from shared.execution.exchange import Exchange
from shared.market.timeframe import DAY_MS
from shared.risk.history import HISTORY_DAYS, MAX_LAG_MS, MarketHistory, daily_returns, history

#: A series that does not reach the newest closed day yet is asked for again after this long.
AGAIN_MS = 600_000
#: Yesterday's series does for so long before a question that failed is asked again.
FAILED_MS = 60_000
#: A question is not under way for longer; what seems to be is a clock that was put back.
WAITED_MS = 120_000
#: Up to so many missing days are added to what is known.
FEW_DAYS = 30


class Histories:
    """Daily returns by symbol, out of the exchange's candles. Safe for threads.

    The first question of a UTC day costs one request per symbol, of weight 2; every later one
    none. It is a cache: a new process asks again and gets the same.

    Parameters
    ----------
    exchange : Exchange
    clock : Clock
    """

    def __init__(self, exchange: Exchange, clock: Clock) -> None:
        self._exchange = exchange
        self._clock = clock
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        #: Symbol -> (when to ask again, what is known).
        self._known: dict[str, tuple[int, tuple[int, tuple[int, ...]] | None]] = {}
        #: Symbol -> when a question failed that nothing known could answer, and how.
        self._failed: dict[str, tuple[int, ExchangeError]] = {}
        self._joined: dict[frozenset[tuple[str, int]], MarketHistory] = {}

    def of(self, symbols: Iterable[str]) -> MarketHistory:
        """What is known of these symbols' past.

        Raises
        ------
        ExchangeError
            When the candles of one cannot be had and were not had yesterday either.
        """
        found = {s: self._series(s) for s in sorted(set(symbols))}
        series = {s: one for s, one in found.items() if one is not None}
        # Correlations of the same series are the same all day.
        key = frozenset((s, end) for s, (end, _) in series.items())
        joined = self._joined.get(key)
        if joined is None:
            joined = history(series)
            if len(self._joined) > 64:
                self._joined.clear()
            self._joined[key] = joined
        return joined

    def _series(self, symbol: str) -> tuple[int, tuple[int, ...]] | None:
        # Decisions of one instant ask once: whoever comes while somebody asks has their answer,
        # also when there is none. Asking in turns would be waiting in turns.
        came_at = self._clock.now_ms()
        with self._locks[symbol]:
            failed_at, error = self._failed.get(symbol, (0, None))
            if error is not None and 0 < failed_at - came_at <= WAITED_MS:
                raise ExchangeUnavailable(f"daily candles of {symbol}: {error}") from error
            try:
                return self._current(symbol)
            except ExchangeError as trouble:
                self._failed[symbol] = (self._clock.now_ms(), trouble)
                raise

    def _current(self, symbol: str) -> tuple[int, tuple[int, ...]] | None:
        now = self._clock.now_ms()
        known = self._known.get(symbol)
        if known is not None and now < known[0]:
            return known[1]
        today = now // DAY_MS * DAY_MS
        try:
            series = self._asked(symbol, None if known is None else known[1], today)
        except ExchangeRejected:
            # The exchange does not know it (any more): held, it counts with an assumed loss.
            series = None
        except ExchangeError:
            # Yesterday's answer does for today: of a year's days one is missing.
            if known is None or known[1] is None or known[1][0] < today - DAY_MS:
                raise
            self._known[symbol] = (now + FAILED_MS, known[1])
            return known[1]
        if series is not None and series[0] < today - MAX_LAG_MS:
            # It has stopped trading: what was before says nothing of today.
            series = None
        current = series is not None and series[0] >= today
        again = today + DAY_MS if current else min(today + DAY_MS, now + AGAIN_MS)
        self._known[symbol] = (again, series)
        return series

    def _asked(
        self, symbol: str, known: tuple[int, tuple[int, ...]] | None, today: int
    ) -> tuple[int, tuple[int, ...]] | None:
        """The series up to now: what is new since it was asked for, or all of it."""
        if known is not None and 0 < today - known[0] <= FEW_DAYS * DAY_MS:
            end, returns = known
            newer = self._exchange.candles(symbol, "1d", start=end - DAY_MS, limit=FEW_DAYS + 1)
            added = daily_returns(newer)
            whole = added is not None and len(added[1]) == len(newer) - 1
            if added is not None and whole and newer[0].open_time == end - DAY_MS:
                return added[0], (*returns, *added[1])[-HISTORY_DAYS:]
        return daily_returns(self._exchange.candles(symbol, "1d", limit=HISTORY_DAYS + 1))
