"""From closed candles to stored signals, one per symbol, time frame and bar.

The engine keeps a window of candles per symbol and time frame in memory. It is a cache: it starts
from the exchange's candles, is repaired from them when a bar is missing, and a signal depends on
nothing but the window's last bars.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from shared.clock import Clock
from shared.errors import AlreadyExists, ConfigurationError, InvalidInput, MarketDataError
from shared.execution.exchange import Exchange
from shared.market.candle import Candle, Columns
from shared.market.timeframe import last_closed
from shared.storage.store import Store
from shared.strategies.config import EnsembleConfig
from shared.strategies.ensemble import required_history, signal_at_last
from shared.strategies.sentiment import NONE, Reading, Readings
from shared.strategies.signal import SIGNAL_VERSION, Signal, signal_id
from shared.strategies.window import CandleWindow
from shared.telemetry import record, span

CONTAINER = "signals"

_log = logging.getLogger("borsa.signals")

Plan = Mapping[str, Mapping[str, EnsembleConfig]]
#: An ensemble as it votes at a bar that closes then (UTC ms): its models with their versions.
Voting = Callable[[EnsembleConfig, int], EnsembleConfig]


class Engine:
    """Computes and stores signals.

    Parameters
    ----------
    plan : mapping
        Symbol -> time frame -> ensemble.
    sentiment : callable, optional
        Gives the reading of a symbol at a moment; asked only where an ensemble makes use of it.
    voting : callable, optional
        Which versions of models vote where the plan pins none; by default those of the folder.
    """

    def __init__(
        self,
        plan: Plan,
        exchange: Exchange,
        store: Store,
        clock: Clock,
        sentiment: Callable[[str, int], Reading] | None = None,
        voting: Voting | None = None,
    ) -> None:
        self.plan = plan
        self._voting = voting
        self._exchange = exchange
        self._store = store
        self._clock = clock
        self._sentiment = sentiment
        self._windows: dict[tuple[str, str], CandleWindow] = {}

    def on_candle(self, candle: Candle) -> Signal | None:
        """Take a closed candle in and compute its signal.

        Returns
        -------
        Signal or None
            ``None`` for a candle that was seen before or is older than the window's last, which
            decides nothing any more, and while the contract has less history than is needed.

        Raises
        ------
        InvalidInput
            For a symbol or time frame that is not traded.
        MarketDataError
            When the bars before it cannot be had, or it contradicts a bar that was used.
        ConfigurationError
            When it is not known which version of a model votes, or that one cannot.
        """
        config = self._config(candle.symbol, candle.timeframe)
        if self._voting is not None:
            try:
                config = self._voting(config, candle.close_time)
            except ConfigurationError:
                self._take(candle)
                raise
        window = self._window(candle, required_history(config))
        if window is None:
            return None
        if len(window) < window.size:
            # A young listing: nothing is wrong, it only has to get older.
            _log.info(
                "%s %s: %d of %d bars", candle.symbol, candle.timeframe, len(window), window.size
            )
            return None
        id_ = signal_id(candle.symbol, candle.timeframe, candle.close_time, SIGNAL_VERSION)
        with span("signal", id_):
            signal = signal_at_last(window.columns(), config, self._readings(candle, config))
        record("borsa.signals", symbol=signal.symbol, side=signal.side or "none")
        age = (self._clock.now_ms() - signal.bar_close_time) / 1000
        record("borsa.data.age", age, symbol=signal.symbol, timeframe=signal.timeframe)
        return signal

    def candles(self, symbol: str, timeframe: str) -> Columns | None:
        """The candles that the last signal was computed from, ``None`` before the first."""
        window = self._windows.get((symbol, timeframe))
        return None if window is None else window.columns()

    def history(self, symbol: str, timeframe: str) -> tuple[int, int]:
        """Candles that are known, and how many a signal needs; 0 known before the first candle."""
        window = self._windows.get((symbol, timeframe))
        if window is not None:
            return len(window), window.size
        config = self._config(symbol, timeframe)
        if self._voting is not None:
            config = self._voting(config, self._clock.now_ms())
        return 0, required_history(config)

    def save(self, signal: Signal) -> Signal:
        """Store a signal; if this bar has one already, that one counts."""
        body: dict[str, Any] = {
            "id": signal.id,
            "symbol": signal.symbol,
            "kind": "signal",
            "time": signal.bar_close_time,
            "timeframe": signal.timeframe,
            "signal": msgspec.to_builtins(signal),
        }
        try:
            self._store.create(CONTAINER, body)
        except AlreadyExists:
            stored = self._store.get(CONTAINER, signal.symbol, signal.id)
            if stored is not None:
                return msgspec.convert(stored.body["signal"], Signal)
        return signal

    def due(self, symbol: str, timeframe: str) -> int | None:
        """Open time of the newest closed bar if the window does not have it yet."""
        newest = last_closed(self._clock.now_ms(), timeframe)
        window = self._windows.get((symbol, timeframe))
        return newest if window is None or window.last_open_time != newest else None

    def _readings(self, candle: Candle, config: EnsembleConfig) -> Readings:
        """Sentiment at the close of this bar and of the one before, where it is made use of."""
        if config.sentiment is msgspec.UNSET or self._sentiment is None:
            return NONE
        moments = (candle.open_time, candle.close_time)
        return {at: self._sentiment(candle.symbol, at) for at in moments}

    def _config(self, symbol: str, timeframe: str) -> EnsembleConfig:
        try:
            return self.plan[symbol][timeframe]
        except KeyError:
            raise InvalidInput(f"{symbol} {timeframe} is not traded here") from None

    def _take(self, candle: Candle) -> None:
        """Know a bar that nobody votes on: whoever watches the market looks at it."""
        window = self._windows.get((candle.symbol, candle.timeframe))
        if window is not None:
            self._window(candle, window.size)

    def _window(self, candle: Candle, needed: int) -> CandleWindow | None:
        key = (candle.symbol, candle.timeframe)
        window = self._windows.get(key)
        last = None if window is None else window.last_open_time
        if window is not None and last is not None:
            if candle.open_time < last:
                return None
            # A new champion may read further back than the one before: then all is read anew.
            if window.size >= needed or candle.open_time == last:
                try:
                    return window if window.append(candle) else None
                except MarketDataError:
                    if candle.open_time <= last:
                        # The same bar with other values: trust neither, read the venue's.
                        del self._windows[key]
                        raise
        window = self._load(candle, needed)
        self._windows[key] = window
        return window

    def _load(self, candle: Candle, history: int) -> CandleWindow:
        """A fresh window that ends with the candle, from the exchange's own candles."""
        candles = self._exchange.candles(
            candle.symbol, candle.timeframe, end=candle.close_time, limit=history
        )
        window = CandleWindow(candle.symbol, candle.timeframe, history)
        for known in candles:
            window.append(known)
        if window.last_open_time is not None and window.last_open_time < candle.open_time:
            window.append(candle)
        if window.last_open_time != candle.open_time:
            raise MarketDataError(
                f"{candle.symbol} {candle.timeframe}: the exchange's candles do not lead up to "
                f"{candle.open_time}; no signal for this bar"
            )
        return window
