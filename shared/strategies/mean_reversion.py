"""Mean reversion: fade a close outside its Bollinger band when the RSI agrees and no trend runs.

Both must say "stretched": the vote is the smaller of the two, faded out as the ADX rises.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from shared.strategies.arithmetic import greater, lesser, ramp, ratio
from shared.strategies.frame import Frame
from shared.strategies.strategy import Period, Strategy, Votes, needed


class MeanReversionParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``stretch`` is the distance from the mean in band half-widths where votes begin;
    ``full_stretch`` where they are full. The same for the RSI below ``rsi_begin`` and at
    ``rsi_full`` (mirrored at 50 for shorts). Above ``adx_high`` there is no vote left.
    """

    band: Period = 20
    deviations: Annotated[float, msgspec.Meta(gt=0, le=10)] = 2.0
    rsi: Period = 14
    adx: Period = 14
    stretch: float = 0.9
    full_stretch: float = 1.4
    rsi_begin: float = 36.0
    rsi_full: float = 24.0
    adx_low: float = 20.0
    adx_high: float = 32.0

    def __post_init__(self) -> None:
        if self.stretch >= self.full_stretch:
            raise ValueError("stretch must be below full_stretch")
        if not 0 <= self.rsi_full < self.rsi_begin <= 50:
            raise ValueError("rsi_full must be below rsi_begin, both within 0 to 50")
        if self.adx_low >= self.adx_high:
            raise ValueError("adx_low must be below adx_high")


def history(params: MeanReversionParams) -> int:
    return max(
        needed("BBANDS", timeperiod=params.band),
        needed("RSI", timeperiod=params.rsi),
        needed("ADX", timeperiod=params.adx),
        needed("ATR", timeperiod=params.adx),
    )


def evaluate(frame: Frame, params: MeanReversionParams) -> Votes:
    upper, middle, _ = frame.indicator(
        "BBANDS", timeperiod=params.band, nbdevup=params.deviations, nbdevdn=params.deviations
    )
    (rsi,) = frame.indicator("RSI", timeperiod=params.rsi)
    (adx,) = frame.indicator("ADX", timeperiod=params.adx)
    atr = frame.atr(params.adx)
    # A band narrower than a tenth of an ATR would magnify noise: the ATR is the floor.
    half_width = greater(upper - middle, 0.1 * atr)
    stretch = ratio(frame.column("close") - middle, half_width)
    low, high = params.stretch, params.full_stretch
    begin, full = params.rsi_begin, params.rsi_full
    long = lesser(ramp(-stretch, low, high), ramp(rsi, begin, full))
    short = lesser(ramp(stretch, low, high), ramp(100.0 - rsi, begin, full))
    vote = (long - short) * ramp(adx, params.adx_high, params.adx_low)
    return Votes(vote, {"stretch": stretch, "rsi": rsi, "adx": adx})


STRATEGY = Strategy("mean_reversion", MeanReversionParams, history, evaluate)
