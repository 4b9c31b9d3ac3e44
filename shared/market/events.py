"""Events on the ``market`` hub, validated on the way in."""

from __future__ import annotations

import math

import msgspec

from shared.errors import InvalidInput
from shared.market.candle import Candle
from shared.market.timeframe import duration_ms


class CandleClosed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="candle"):
    """A candle has closed. Also the answer of a streamer; both write the same event."""

    symbol: str
    timeframe: str
    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    def candle(self) -> Candle:
        return Candle(
            symbol=self.symbol,
            timeframe=self.timeframe,
            open_time=self.open_time,
            open=self.open,
            high=self.high,
            low=self.low,
            close=self.close,
            volume=self.volume,
        )


_decoder = msgspec.json.Decoder(CandleClosed)

#: An event larger than this is refused unread.
MAX_BYTES = 4096


def encode(candle: Candle) -> bytes:
    """The event for a closed candle."""
    return msgspec.json.encode(
        CandleClosed(
            symbol=candle.symbol,
            timeframe=candle.timeframe,
            open_time=candle.open_time,
            open=candle.open,
            high=candle.high,
            low=candle.low,
            close=candle.close,
            volume=candle.volume,
        )
    )


def decode(body: bytes) -> Candle:
    """The candle in an event.

    Raises
    ------
    InvalidInput
        Naming what is wrong: not JSON, a missing or mistyped field, an impossible candle.
    """
    if len(body) > MAX_BYTES:
        raise InvalidInput(f"market event of {len(body)} bytes; at most {MAX_BYTES} are read")
    try:
        event = _decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"not a candle event: {error}") from error
    candle = event.candle()
    step = duration_ms(candle.timeframe)
    prices = (candle.open, candle.high, candle.low, candle.close)
    if not all(math.isfinite(p) and p > 0 for p in prices):
        raise InvalidInput(f"{candle.symbol}: prices must be finite and above zero, got {prices}")
    if not (math.isfinite(candle.volume) and candle.volume >= 0):
        raise InvalidInput(f"{candle.symbol}: volume {candle.volume} is not a quantity")
    if candle.high < max(prices) or candle.low > min(prices):
        raise InvalidInput(f"{candle.symbol}: high and low do not enclose open and close {prices}")
    if candle.open_time % step or candle.open_time <= 0:
        raise InvalidInput(
            f"{candle.symbol}: {candle.open_time} is not the open time of a {candle.timeframe} bar"
        )
    return candle
