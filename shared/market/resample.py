"""Candles of a longer time frame from shorter ones."""

from __future__ import annotations

import numpy as np

from shared.errors import InvalidInput
from shared.market.candle import Columns
from shared.market.timeframe import duration_ms


def resample(columns: Columns, timeframe: str) -> Columns:
    """Whole candles of ``timeframe`` made of consecutive shorter ones.

    Candles that are not covered from beginning to end, at either edge, are left out: a candle
    that looks closed but is not would be look-ahead in reverse.

    Raises
    ------
    InvalidInput
        When the wanted time frame is not a multiple of the given one.
    """
    step, wanted = duration_ms(columns.timeframe), duration_ms(timeframe)
    if wanted % step:
        raise InvalidInput(f"{timeframe} candles cannot be made of {columns.timeframe} candles")
    per_bar = wanted // step
    if per_bar == 1:
        return columns
    if len(columns):
        lead = int(-(int(columns.open_time[0]) // step) % per_bar)
        bars = max(0, (len(columns) - lead) // per_bar)
    else:
        lead, bars = 0, 0
    part = columns.window(lead, lead + bars * per_bar)
    shape = (bars, per_bar)
    return Columns(
        columns.symbol,
        timeframe,
        np.ascontiguousarray(part.open_time.reshape(shape)[:, 0]),
        np.ascontiguousarray(part.open.reshape(shape)[:, 0]),
        part.high.reshape(shape).max(axis=1, initial=-np.inf),
        part.low.reshape(shape).min(axis=1, initial=np.inf),
        np.ascontiguousarray(part.close.reshape(shape)[:, -1]),
        part.volume.reshape(shape).sum(axis=1),
    )
