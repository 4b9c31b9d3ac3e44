"""Breakout: a close beyond the Donchian channel of the bars before it, confirmed by volume.

The first close outside earns half a vote, one ATR beyond the edge a full one.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from shared.strategies.arithmetic import choose, lesser, ramp, ratio
from shared.strategies.frame import Frame
from shared.strategies.strategy import Period, Strategy, Votes, needed


class BreakoutParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``full_vote_atr``: distance beyond the edge, in ATRs, that makes a full vote.

    Volume below ``volume_low`` times its mean halves the vote, above ``volume_high`` leaves it.
    """

    channel: Period = 48
    atr: Period = 14
    volume: Period = 48
    full_vote_atr: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    volume_low: float = 0.8
    volume_high: float = 1.6

    def __post_init__(self) -> None:
        if self.volume_low >= self.volume_high:
            raise ValueError("volume_low must be below volume_high")


def history(params: BreakoutParams) -> int:
    return max(
        needed("MAX", timeperiod=params.channel) + 1,
        needed("ATR", timeperiod=params.atr),
        needed("SMA", timeperiod=params.volume),
    )


def evaluate(frame: Frame, params: BreakoutParams) -> Votes:
    (upper,) = frame.indicator("MAX", on=("high",), lag=1, timeperiod=params.channel)
    (lower,) = frame.indicator("MIN", on=("low",), lag=1, timeperiod=params.channel)
    (usual,) = frame.indicator("SMA", on=("volume",), timeperiod=params.volume)
    atr = frame.atr(params.atr)
    close = frame.column("close")
    activity = ratio(frame.column("volume"), usual)
    reach = params.full_vote_atr * atr
    up = lesser(0.5 + 0.5 * (close - upper) / reach, 1.0)
    down = lesser(0.5 + 0.5 * (lower - close) / reach, 1.0)
    inside = 0.0 * reach * upper  # NaN before the first channel
    raw = choose(close > upper, up, choose(close < lower, -down, inside))
    vote = raw * (0.5 + 0.5 * ramp(activity, params.volume_low, params.volume_high))
    return Votes(
        vote, {"channel_high": upper, "channel_low": lower, "atr": atr, "activity": activity}
    )


STRATEGY = Strategy("breakout", BreakoutParams, history, evaluate)
