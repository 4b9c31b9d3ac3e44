"""Cost of the features, and of the models that lie in ``models/``, on seeded candles."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from benchmarks.figure import Figure, Size
from benchmarks.signals import MONTH_BARS, REPEATS, cost, market
from shared.intelligence.features import FEATURES, feature_history, matrix, window
from shared.intelligence.library import library
from shared.market.candle import Columns
from shared.market.timeframe import duration_ms
from shared.strategies import ai
from shared.strategies.frame import Frame
from shared.strategies.registry import strategy


def _told_as(bars: Columns, timeframe: str) -> Columns:
    step = duration_ms(timeframe)
    times = 1_746_316_800_000 + step * np.arange(len(bars), dtype=np.int64)
    return replace(bars, timeframe=timeframe, open_time=times)


def measure(size: Size) -> list[Figure]:
    """Processor time, so that what else runs on the machine counts little."""
    repeat = REPEATS[size]
    bars = market(MONTH_BARS[size])
    live = bars.window(0, feature_history())
    figures = [
        Figure(
            name=f"all {len(FEATURES)} features of one bar",
            value=cost(lambda: window(live), 10 * repeat),
            unit="us",
            note=f"from the {feature_history()} bars they read",
        ),
        Figure(
            name="the same on the whole history, per bar",
            value=cost(lambda: matrix(bars), repeat, per=len(bars)),
            unit="us",
        ),
    ]
    if library().names():
        figures += _served(bars, repeat)
    return figures


def _served(bars: Columns, repeat: int) -> list[Figure]:
    models = [library().model(name) for name in library().names()]
    told = _told_as(bars, models[0].card.timeframe)
    bound = strategy(ai.ENSEMBLE).with_params({})
    live = told.window(0, bound.history)
    began = time.process_time()
    bound.votes(Frame(live, 1))
    first = time.process_time() - began
    slowest = max(
        (cost(lambda n=m.card.name: _vote(n, live), repeat), m.card.name)  # type: ignore[misc]
        for m in models
    )
    return [
        Figure(
            name=f"first vote of {len(models)} models, onnxruntime's import with it",
            value=first,
            unit="s",
        ),
        Figure(
            name=f"vote of {len(models)} models at one bar, features with it",
            value=cost(lambda: bound.votes(Frame(live, 1)), repeat),
            unit="us",
            note=f"alone the slowest, {slowest[1]}, {slowest[0]:.0f} us",
        ),
    ]


def _vote(name: str, bars: Columns) -> object:
    return strategy(name).with_params({}).votes(Frame(bars, 1))
