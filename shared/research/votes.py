"""Votes kept between backtests of one market: a search changes one strategy and asks them all.

A vote depends on the bars and the strategy's own parameters alone, not on weights, thresholds or
other strategies, so the votes of an earlier backtest on the same bars are those of the next.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import msgspec
import numpy as np

from shared.strategies.frame import Frame
from shared.strategies.strategy import Bound, Voter, Votes

#: What is kept at most; the longest unused votes go first.
KEPT_BYTES = 256_000_000


class VoteBook:
    """Votes by bars and parameters, of one market. Figures behind the votes are not kept."""

    def __init__(self, most: int = KEPT_BYTES) -> None:
        self._most = most
        self._size = 0
        self._votes: OrderedDict[Any, np.ndarray[Any, Any]] = OrderedDict()

    def ask(self, voter: Voter, frame: Frame) -> Votes:
        """The votes on every bar of a frame, computed once."""
        if not isinstance(voter, Bound):
            return voter.votes(frame)
        bars = frame.columns
        key = (
            bars.symbol,
            bars.timeframe,
            int(bars.open_time[0]),
            len(bars),
            voter.name,
            msgspec.json.encode(voter.params),
        )
        known = self._votes.get(key)
        if known is None:
            known = np.array(np.broadcast_to(voter.votes(frame).vote, len(bars)), np.float64)
            self._votes[key] = known
            self._size += known.nbytes
            while self._size > self._most and len(self._votes) > 1:
                _, gone = self._votes.popitem(last=False)
                self._size -= gone.nbytes
        else:
            self._votes.move_to_end(key)
        return Votes(known, {})
