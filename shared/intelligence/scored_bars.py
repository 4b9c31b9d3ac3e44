"""Scores of live bars as arrays, for what judges them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.intelligence.distributions import exchanged_blocks, kolmogorov_smirnov
from shared.intelligence.labels import NONE, Barriers
from shared.intelligence.scores import BarScore
from shared.market.timeframe import DAY_MS

Array = NDArray[np.float64]

#: Days that are compared with those before, and in all at least; both are whole weeks.
RECENT_DAYS, RECENT_OF = 28, 70
_WEEK_MS = 7 * DAY_MS


class Kind(NamedTuple):
    """What scores must share to be judged together."""

    timeframe: str
    feature_set: str
    barriers: Barriers


class Recent(NamedTuple):
    """How far the last weeks are from those before: the statistic, and its p-value."""

    ks: float | None
    p: float | None


@dataclass(frozen=True, eq=False)
class ScoredBars:
    """Bars of all contracts, in order of time.

    Parameters
    ----------
    symbols : tuple of str
    symbol : int64 array
        Per row, its place in ``symbols``.
    closed_at : int64 array
        UTC milliseconds.
    features : float64 array of shape (rows, features)
    label : int8 array
        0 down, 1 flat, 2 up, -1 not known.
    probabilities : dict
        By ``name:version``: float64 array of shape (rows, 3), NaN where it did not say anything.
    """

    symbols: tuple[str, ...]
    symbol: NDArray[np.int64]
    closed_at: NDArray[np.int64]
    features: Array
    label: NDArray[np.int8]
    probabilities: dict[str, Array]

    @cached_property
    def recent(self) -> list[Recent]:
        """Per feature: the last weeks against those before; empty with too few of them.

        It does not depend on any model.
        """
        if not len(self.closed_at):
            return []
        week = (int(np.max(self.closed_at)) - self.closed_at) // _WEEK_MS
        if len(np.unique(week)) * 7 < RECENT_OF:
            return []
        late = week < RECENT_DAYS // 7
        if not late.any() or late.all():
            return []
        return [
            Recent(
                kolmogorov_smirnov(column[late], column[~late]),
                exchanged_blocks(column, week, late, seed=0),
            )
            for column in self.features.T
        ]


def scored_bars(scores: Iterable[BarScore]) -> dict[Kind, ScoredBars]:
    """Scores by what they can be judged with."""
    grouped: dict[Kind, list[BarScore]] = {}
    for score in scores:
        kind = Kind(score.timeframe, score.feature_set, score.barriers)
        grouped.setdefault(kind, []).append(score)
    return {kind: _table(rows) for kind, rows in grouped.items()}


def _table(scores: list[BarScore]) -> ScoredBars:
    scores.sort(key=lambda s: (s.closed_at, s.symbol))
    symbols = tuple(sorted({s.symbol for s in scores}))
    place = {symbol: number for number, symbol in enumerate(symbols)}
    keys = sorted({key for s in scores for key in s.probabilities})
    silent = (np.nan, np.nan, np.nan)
    return ScoredBars(
        symbols=symbols,
        symbol=np.array([place[s.symbol] for s in scores], dtype=np.int64),
        closed_at=np.array([s.closed_at for s in scores], dtype=np.int64),
        features=np.array([s.features for s in scores], dtype=np.float64),
        label=np.array([NONE if s.label is None else s.label for s in scores], dtype=np.int8),
        probabilities={
            key: np.array([s.probabilities.get(key, silent) for s in scores], dtype=np.float64)
            for key in keys
        },
    )
