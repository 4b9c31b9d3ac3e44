"""Chart patterns: a vote for the side on which the price has broken out of one.

The vote is whole at the breakout of a pattern that meets its definition exactly, fades with the
bars since, and ends when the price closes beyond the level at which the pattern has failed. The
patterns are those of :mod:`shared.indicators.chart_shapes`.
"""

from __future__ import annotations

from math import nan
from typing import Annotated, Any

import msgspec
import numpy as np

from shared.indicators.chart_patterns import Breakout, Rules, Run, runs, scan
from shared.indicators.chart_shapes import FAMILIES, FAMILY
from shared.market.candle import PRICE_UNITS, Columns
from shared.strategies.arithmetic import choose
from shared.strategies.frame import Frame
from shared.strategies.strategy import Period, Strategy, Votes, needed

_ATR = 14
_FIGURES = ("vote", *FAMILIES, "target", "failure")


class ChartPatternsParams(Rules, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a swing is as in :class:`Rules`.

    ``hold``: bars over which a vote fades. ``least``: vote of a pattern that only just meets its
    definition. ``families``: which patterns; empty is all.
    """

    hold: Period = 12
    least: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.6
    families: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.families:
            if name not in FAMILIES:
                raise ValueError(f"unknown family {name}; use {', '.join(FAMILIES)}")


def history(params: ChartPatternsParams) -> int:
    return max(params.history, needed("ATR", timeperiod=_ATR))


def evaluate(frame: Frame, params: ChartPatternsParams) -> Votes:
    rows: Any = frame.kept(
        ("chart_patterns", params), lambda: _rows(frame.past(), params, None if frame.whole else 1)
    )
    if not frame.whole:
        rows = rows[:, -1].tolist()
    vote, *figures = rows
    atr = frame.atr(_ATR)
    # The ATR is none where the market stands still, and a comparison with it is false.
    return Votes(
        choose(atr > 0.0, vote, nan),
        {**dict(zip(_FIGURES[1:], figures, strict=True)), "atr": atr},
    )


def _rows(columns: Columns, params: ChartPatternsParams, last: int | None) -> Any:
    """Vote, share of each family in it, target and failure at every bar; NaN without history."""
    rows = np.full((len(_FIGURES), len(columns)), nan)
    for run in runs(columns, params, last=last):
        part = rows[:, run.judged : run.start + len(run)]
        part[0] = 0.0
        first = run.judged - run.start
        for one in scan(run, params).breakouts:
            family = FAMILY[one.pattern.kind]
            if not params.families or family in params.families:
                _add(part, _FIGURES.index(family), one, run, first, params)
        np.clip(part[0], -1.0, 1.0, out=part[0])
    return rows


def _add(
    part: Any, row: int, one: Breakout, run: Run, first: int, params: ChartPatternsParams
) -> None:
    """What a breakout says from its bar on, until it has faded or failed."""
    full = one.side * (params.least + (1.0 - params.least) * one.pattern.quality)
    for bar in range(one.bar, min(one.bar + params.hold, len(run))):
        if one.side * (run.close[bar] - one.failure) < 0.0:
            return
        if bar < first:
            continue
        said = full * (1.0 - (bar - one.bar) / params.hold)
        at = bar - first
        part[0, at] += said
        part[row, at] = said if np.isnan(part[row, at]) else part[row, at] + said
        part[-2, at] = one.target / PRICE_UNITS
        part[-1, at] = one.failure / PRICE_UNITS


STRATEGY = Strategy("chart_patterns", ChartPatternsParams, history, evaluate)
