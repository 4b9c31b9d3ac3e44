"""Momentum: the move of the last bars and the MACD histogram, where both point the same way.

Both are measured in ATRs; a move over ``n`` bars by chance grows with the square root of ``n``,
which is divided out. The vote is the smaller of the two, none where they disagree.
"""

from __future__ import annotations

from math import sqrt
from typing import Annotated

import msgspec

from shared.strategies.arithmetic import clip, greater, lesser
from shared.strategies.frame import Frame
from shared.strategies.strategy import Period, Strategy, Votes, needed

Positive = Annotated[float, msgspec.Meta(gt=0)]


class MomentumParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``full_move``: move in ATRs times root of ``lookback`` that makes a full vote;
    ``full_histogram``: MACD histogram in ATRs that does.
    """

    lookback: Period = 12
    fast: Period = 12
    slow: Period = 26
    signal: Period = 9
    atr: Period = 14
    full_move: Positive = 1.5
    full_histogram: Positive = 0.35

    def __post_init__(self) -> None:
        if self.fast >= self.slow:
            raise ValueError(f"fast ({self.fast}) must be below slow ({self.slow})")


def history(params: MomentumParams) -> int:
    return max(
        needed("ROC", timeperiod=params.lookback),
        needed(
            "MACD",
            fastperiod=params.fast,
            slowperiod=params.slow,
            signalperiod=params.signal,
        ),
        needed("ATR", timeperiod=params.atr),
    )


def evaluate(frame: Frame, params: MomentumParams) -> Votes:
    (roc,) = frame.indicator("ROC", timeperiod=params.lookback)
    _, _, histogram = frame.indicator(
        "MACD", fastperiod=params.fast, slowperiod=params.slow, signalperiod=params.signal
    )
    atr = frame.atr(params.atr)
    before = frame.column("close", lag=params.lookback)
    move = roc * before / (100.0 * sqrt(params.lookback) * atr)
    push = histogram / atr
    a = clip(move / params.full_move)
    b = clip(push / params.full_histogram)
    up = lesser(greater(a, 0.0), greater(b, 0.0))
    down = lesser(greater(-a, 0.0), greater(-b, 0.0))
    return Votes(up - down, {"roc": roc, "move_atr": move, "histogram_atr": push})


STRATEGY = Strategy("momentum", MomentumParams, history, evaluate)
