"""The bars that close, as the poller publishes them, and minutes in which nothing is heard."""

from __future__ import annotations

import random
from collections.abc import Callable

from local.simulate.judge import Judge
from local.simulate.listing import PRICES
from local.simulate.market import RestlessMarket
from local.simulate.profiles import Profile
from shared.market.candle import Candle
from shared.market.events import encode
from shared.market.timeframe import MINUTE_MS
from shared.strategies.signal import SIGNAL_VERSION, signal_id


class Feed:
    """Publishes the market to the application.

    Parameters
    ----------
    market : RestlessMarket
    profile : Profile
    judge : Judge
        Told which bars the application was told of, where that is judged.
    append : callable
        Puts one encoded bar into the event log of the running process.

    Attributes
    ----------
    recent : list of tuple
        Symbol and signal of the bars that closed last.
    """

    def __init__(
        self,
        market: RestlessMarket,
        profile: Profile,
        judge: Judge,
        append: Callable[[bytes], None],
    ) -> None:
        self._market, self._profile, self._judge = market, profile, judge
        self._append = append
        self.recent: list[tuple[str, str]] = []
        self._unheard: list[bytes] = []
        self._bars: list[tuple[str, int]] = []
        self._silent_minutes = 0

    def publish(self, begin: int, draw: random.Random) -> None:
        """The bars that just closed, as the poller publishes them."""
        if self._silent_minutes:
            self._silent_minutes -= 1
        elif draw.random() < self._profile.silence:
            self._silent_minutes = draw.randint(1, 6)
        for symbol in PRICES:
            bar = self._market.bar(symbol, begin - MINUTE_MS)
            candle = Candle(
                symbol=symbol,
                timeframe="1m",
                open_time=bar.open_time,
                open=bar.open,
                high=bar.high,
                low=bar.low,
                close=bar.close,
                volume=bar.volume,
            )
            close = signal_id(symbol, "1m", candle.close_time, SIGNAL_VERSION)
            self.recent.append((symbol, close))
            self._unheard.append(encode(candle))
            if self._profile.burst:
                self._bars.append((symbol, bar.open_time))
        del self.recent[:-20]
        if self._silent_minutes:
            if draw.random() < 0.3:
                self._unheard.clear()
                self._bars.clear()
            return
        self.deliver()
        for symbol, opened in self._bars:
            self._judge.switch.heard(symbol, opened)
        self._bars.clear()

    def deliver(self) -> None:
        """Publish whatever has not been heard yet."""
        for raw in self._unheard:
            self._append(raw)
        self._unheard.clear()
