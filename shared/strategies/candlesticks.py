"""Candlestick patterns of TA-Lib, weighted, and only in the place where they mean something.

Reversal patterns count against a move that went before, continuation patterns along with it.
"""

from __future__ import annotations

from math import sqrt
from typing import Annotated

import msgspec

from shared.strategies.arithmetic import clip, greater, ramp
from shared.strategies.frame import Frame
from shared.strategies.strategy import Period, Strategy, Votes, needed

#: Weight of each reversal pattern at its full signal (TA-Lib's +-100).
REVERSALS: dict[str, float] = {
    "CDLENGULFING": 0.6,
    "CDLHAMMER": 0.5,
    "CDLSHOOTINGSTAR": 0.5,
    "CDLMORNINGSTAR": 0.9,
    "CDLEVENINGSTAR": 0.9,
    "CDLPIERCING": 0.6,
    "CDLDARKCLOUDCOVER": 0.6,
    "CDLHARAMI": 0.3,
}

#: The same for patterns that say the move goes on.
CONTINUATIONS: dict[str, float] = {
    "CDL3WHITESOLDIERS": 0.7,
    "CDL3BLACKCROWS": 0.7,
    "CDLRISEFALL3METHODS": 0.8,
    "CDLCLOSINGMARUBOZU": 0.3,
}

_NAMES = tuple(REVERSALS | CONTINUATIONS)
_WEIGHTS = [(n, w / 100.0) for n, w in (REVERSALS | CONTINUATIONS).items()]


class CandlesticksParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The move before a pattern is that of ``context`` bars, in ATRs times root of ``context``;
    below ``move_low`` it is none, above ``move_full`` it counts fully.
    """

    context: Period = 10
    atr: Period = 14
    move_low: Annotated[float, msgspec.Meta(ge=0)] = 0.2
    move_full: Annotated[float, msgspec.Meta(gt=0)] = 0.8

    def __post_init__(self) -> None:
        if self.move_low >= self.move_full:
            raise ValueError("move_low must be below move_full")


def history(params: CandlesticksParams) -> int:
    patterns = max(needed(name) for name in _NAMES)
    return max(patterns, params.context + 4, needed("ATR", timeperiod=params.atr))


def evaluate(frame: Frame, params: CandlesticksParams) -> Votes:
    atr = frame.atr(params.atr)
    # The move before the pattern: up to the bar before its (at most three) candles.
    end, start = frame.column("close", lag=3), frame.column("close", lag=3 + params.context)
    move = (end - start) / (sqrt(params.context) * atr)
    rose = ramp(move, params.move_low, params.move_full)
    fell = ramp(-move, params.move_low, params.move_full)
    turn_up, turn_down, on_up, on_down = 0.0, 0.0, 0.0, 0.0
    for (name, weight), found in zip(_WEIGHTS, frame.patterns(_NAMES), strict=True):
        up, down = greater(weight * found, 0.0), greater(-weight * found, 0.0)
        if name in REVERSALS:
            turn_up, turn_down = turn_up + up, turn_down + down
        else:
            on_up, on_down = on_up + up, on_down + down
    vote = clip(turn_up * fell - turn_down * rose + on_up * rose - on_down * fell)
    return Votes(
        vote,
        {
            "move_atr": move,
            "reversal_up": turn_up,
            "reversal_down": turn_down,
            "continuation_up": on_up,
            "continuation_down": on_down,
        },
    )


STRATEGY = Strategy("candlesticks", CandlesticksParams, history, evaluate)
