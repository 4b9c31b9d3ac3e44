"""Trend following: two EMAs apart, the ADX says whether that means anything.

The distance of the averages in ATRs is the direction, weighted by how strong a trend the ADX
sees. Source of the figures: Wilder (1978) for ATR and ADX.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from shared.strategies.arithmetic import clip, ramp
from shared.strategies.frame import Frame
from shared.strategies.strategy import Period, Strategy, Votes, needed


class TrendParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``full_vote_atr``: distance of the EMAs, in ATRs, that makes a full vote.

    ``adx_low`` and ``adx_high`` bound the ramp from "no trend" to "trend".
    """

    fast: Period = 12
    slow: Period = 36
    adx: Period = 14
    adx_low: float = 18.0
    adx_high: float = 30.0
    full_vote_atr: Annotated[float, msgspec.Meta(gt=0)] = 1.5

    def __post_init__(self) -> None:
        if self.fast >= self.slow:
            raise ValueError(f"fast ({self.fast}) must be below slow ({self.slow})")
        if self.adx_low >= self.adx_high:
            raise ValueError(f"adx_low ({self.adx_low}) must be below adx_high ({self.adx_high})")


def history(params: TrendParams) -> int:
    return max(
        needed("EMA", timeperiod=params.slow),
        needed("ADX", timeperiod=params.adx),
        needed("ATR", timeperiod=params.adx),
    )


def evaluate(frame: Frame, params: TrendParams) -> Votes:
    (fast,) = frame.indicator("EMA", timeperiod=params.fast)
    (slow,) = frame.indicator("EMA", timeperiod=params.slow)
    (adx,) = frame.indicator("ADX", timeperiod=params.adx)
    atr = frame.atr(params.adx)
    distance = (fast - slow) / atr
    vote = clip(distance / params.full_vote_atr) * ramp(adx, params.adx_low, params.adx_high)
    return Votes(vote, {"ema_fast": fast, "ema_slow": slow, "distance_atr": distance, "adx": adx})


STRATEGY = Strategy("trend", TrendParams, history, evaluate)
