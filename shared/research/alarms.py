"""Bars at which the market moves as it does not usually do: they may latch the kill switch.

The judgement is that of :func:`shared.risk.triggers.volatility_evidence` on every closed bar. Only
what happened since the switch was armed counts, so the moves are kept beside the verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shared.execution.watch import RECENT, USUAL
from shared.market.timeframe import duration_ms

if TYPE_CHECKING:
    from shared.market.candle import Columns
    from shared.risk.triggers import Thresholds

#: Returns before the recent ones without which nothing is called usual.
LEAST = 60
#: Room for the last digits beside the exact judgement.
NEAR = 0.999_999


@dataclass(frozen=True, eq=False)
class Alarms:
    """Bars that are abnormal when all their moves count, ascending.

    Attributes
    ----------
    time, step : int64 arrays
        When the bar closed and how long it is, milliseconds.
    usual : float64 array
        Root mean square of the returns before the recent ones.
    moves : float64 array of shape (n, 5)
        The recent log returns, the newest last.
    """

    time: NDArray[np.int64]
    step: NDArray[np.int64]
    usual: NDArray[np.float64]
    moves: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.time)


def alarms(columns: Columns, start_ms: int, window: int, thresholds: Thresholds) -> Alarms:
    """Candidates among the bars that close from ``start_ms`` on.

    Parameters
    ----------
    window : int
        Candles that the application keeps of this time frame.
    """
    step = duration_ms(columns.timeframe)
    returns = np.diff(np.log(columns.close))
    before = min(window, USUAL + RECENT + 1) - 1 - RECENT
    if before < LEAST or len(returns) < before + RECENT:
        return joined([])
    squares = np.concatenate(([0.0], np.cumsum(returns * returns)))
    ends = np.arange(before + RECENT, len(returns) + 1)
    recent = np.sqrt(np.maximum(0.0, squares[ends] - squares[ends - RECENT]) / RECENT)
    past = squares[ends - RECENT] - squares[ends - RECENT - before]
    usual = np.sqrt(np.maximum(0.0, past) / before)
    floor, ratio = float(thresholds.floor_of(step)), float(thresholds.volatility_ratio)
    closes = columns.open_time[ends] + step
    hit = (recent >= floor * NEAR) & (recent >= usual * ratio * NEAR) & (closes >= start_ms)
    # The differences of long sums are rough where they are small: judge those few exactly.
    found = []
    for end in ends[hit]:
        base = returns[end - RECENT - before : end - RECENT]
        found.append((float(np.sqrt(np.mean(base * base))), returns[end - RECENT : end]))
    return Alarms(
        time=closes[hit],
        step=np.full(len(found), step, np.int64),
        usual=np.array([usual for usual, _ in found]),
        moves=np.array([moves for _, moves in found]).reshape(-1, RECENT),
    )


def joined(parts: list[Alarms]) -> Alarms:
    """All of them in order of time."""
    if not parts:
        return Alarms(
            np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros((0, RECENT))
        )
    time = np.concatenate([p.time for p in parts])
    order = np.argsort(time, kind="stable")
    return Alarms(
        time[order],
        np.concatenate([p.step for p in parts])[order],
        np.concatenate([p.usual for p in parts])[order],
        np.concatenate([p.moves for p in parts])[order],
    )


def is_abnormal(found: Alarms, row: int, armed_at: int, thresholds: Thresholds) -> bool:
    """Whether a candidate still is one when only bars since ``armed_at`` count."""
    opened = found.time[row] - found.step[row] * np.arange(RECENT, 0, -1)
    moves = np.where(opened >= armed_at, found.moves[row], 0.0)
    now = float(np.sqrt(np.mean(moves * moves)))
    usual = float(found.usual[row])
    floor = float(thresholds.floor_of(int(found.step[row])))
    least = max(floor, usual * float(thresholds.volatility_ratio))
    return usual > 0 and now >= least
