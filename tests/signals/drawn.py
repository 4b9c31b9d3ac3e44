"""Charts drawn through given corners, with noise: what a pattern's definition says, as candles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from candle_series import START

from shared.indicators.chart_found import Found, found
from shared.indicators.chart_patterns import Rules
from shared.market.candle import Columns
from shared.market.timeframe import duration_ms

#: Price of level 0 and of a step of one level.
BASE, UNIT = 200.0, 10.0
#: (bars since the corner before, level).
Corner = tuple[int, float]
HOUR = duration_ms("1h")


@dataclass(frozen=True)
class Chart:
    """Candles and the bars at which the drawn corners lie."""

    bars: Columns
    corners: list[int]

    def found(self, kind: str) -> list[Found]:
        """Patterns of the kind whose swings are the drawn corners, give or take two bars.

        Where the first swing lies is left open: the low of the quiet market before a rise may be
        at any of its bars.
        """
        times = [int(self.bars.open_time[c]) for c in self.corners[1:]]
        return [
            one
            for one in found(self.bars, Rules())
            if one.kind == kind
            and len(one.swings) == len(self.corners)
            and all(
                abs(swing.time - time) <= 2 * HOUR
                for swing, time in zip(one.swings[1:], times, strict=True)
            )
        ]


def draw(
    corners: Sequence[Corner],
    *,
    after: Sequence[Corner],
    mirrored: bool = False,
    noise: float = 0.02,
    seed: int = 0,
    begin: float | None = None,
    calm: float = 0.1,
    shift: int = 0,
) -> Chart:
    """Closes straight from corner to corner, after a long quiet market at the level ``begin``.

    Without one it is that of a first corner which is reached at once, else -1.

    Parameters
    ----------
    corners : sequence of (bars, level)
        Those of the pattern; the first is reached from the quiet market.
    after : sequence of (bars, level)
        What makes the last corner known, and the breakout.
    noise : float
        Standard deviation of the closes, in levels.
    calm : float
        How far the quiet market goes up and down, in levels.
    shift : int
        Hours by which the whole chart is later: another place of the calendar.
    """
    random = np.random.default_rng(seed)
    quiet = 600
    if begin is None:
        begin = corners[0][1] if corners[0][0] <= 2 else -1.0
    levels = [begin + calm * np.sin(i / 3.0) for i in range(quiet)]
    places = []
    for number, (bars, level) in enumerate((*corners, *after)):
        levels += np.linspace(levels[-1], level, bars + 1)[1:].tolist()
        if number < len(corners):
            places.append(len(levels) - 1)
    drawn = np.array(levels)
    jitter = random.normal(0.0, noise, len(drawn))
    jitter[places] = 0.0
    sign = -1.0 if mirrored else 1.0
    close = np.round(BASE + sign * UNIT * (drawn + jitter), 2)
    opened = np.concatenate((close[:1], close[:-1]))
    reach = 0.1
    return Chart(
        Columns(
            "BTCUSDT",
            "1h",
            START + HOUR * (shift + np.arange(len(close), dtype=np.int64)),
            opened,
            np.maximum(opened, close) + reach,
            np.minimum(opened, close) - reach,
            close,
            np.full(len(close), 10.0),
        ),
        places,
    )
