"""What the signal engine says about one symbol at one closed bar."""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.indicators.sensitivity import Anomaly
from shared.strategies.sentiment import Reading

#: Raised whenever strategies, weights or their meaning change: part of every signal id.
SIGNAL_VERSION = 1


class Vote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One strategy's opinion: ``vote`` in [-1, 1] (short to long), and the figures behind it.

    ``model`` is the version of the model that voted; it is not written where none did.
    """

    strategy: str
    weight: float
    vote: float
    figures: dict[str, float]
    model: str = ""


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """One signal per symbol, time frame and bar.

    ``side`` is ``None`` when the ensemble stays below its threshold, or (with ``crossing``, the
    default) was beyond it on the same side at the bar before. ``strength`` is the weighted mean
    of the votes in [-1, 1]; a voter without an opinion is not among them. ``atr`` is the ATR(14)
    at the bar in price units and ``volatility`` the standard deviation of the last 96 log returns
    per bar. ``window_digest`` is the SHA-256 of the candles used. ``sentiment`` has the readings
    that went into ``strength`` and ``side``, at this bar's close and the one before; it is not
    written where the plan makes no use of them. ``anomalies`` are those that the configuration's
    veto looks at, of this bar and, where it says so, of bars before; where there is one there is no
    side. It is not written where no veto is configured.
    """

    id: str
    symbol: str
    timeframe: str
    bar_open_time: int
    bar_close_time: int
    side: Literal["BUY", "SELL"] | None
    strength: float
    threshold: float
    close: float
    atr: float
    volatility: float
    votes: list[Vote]
    window_digest: str
    version: int = SIGNAL_VERSION
    sentiment: list[Reading] | msgspec.UnsetType = msgspec.UNSET
    anomalies: list[Anomaly] | msgspec.UnsetType = msgspec.UNSET


def signal_id(symbol: str, timeframe: str, bar_close_time: int, version: int) -> str:
    """The deterministic id, also the Durable instance id: no ``/ \\ # ?`` in it."""
    return f"{signal_prefix(symbol, timeframe)}{bar_close_time}-v{version}"


def signal_prefix(symbol: str, timeframe: str) -> str:
    """What the ids of all signals of a symbol and time frame begin with; bars follow in order."""
    return f"{symbol}-{timeframe}-"
