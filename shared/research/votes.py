"""Votes kept between backtests of one market: a search changes one strategy and asks them all.

A vote depends on the bars and the strategy's own parameters alone, not on weights, thresholds or
other strategies, so the votes of an earlier backtest on the same bars are those of the next. The
same holds for figures that no parameter changes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.strategies.frame import Frame
from shared.strategies.strategy import Bound, Voter, Votes

if TYPE_CHECKING:
    from shared.market.candle import Columns

#: What is kept at most; the longest unused votes go first.
KEPT_BYTES = 256_000_000


class VoteBook:
    """Votes by bars and parameters, of one market. Figures behind the votes are not kept."""

    def __init__(self, most: int = KEPT_BYTES) -> None:
        self._most = most
        self._size = 0
        self._kept: OrderedDict[Any, NDArray[Any]] = OrderedDict()

    def ask(self, voter: Voter, frame: Frame) -> Votes:
        """The votes on every bar of a frame, computed once."""
        if not isinstance(voter, Bound):
            return voter.votes(frame)
        bars = frame.columns
        what = (voter.name, msgspec.json.encode(voter.params))
        vote = self.figure(
            bars,
            what,
            lambda: np.array(np.broadcast_to(voter.votes(frame).vote, len(bars)), np.float64),
        )
        return Votes(vote, {})

    def figure(
        self, bars: Columns, what: Hashable, make: Callable[[], NDArray[Any]]
    ) -> NDArray[Any]:
        """A figure of consecutive bars, computed once."""
        key = (bars.symbol, bars.timeframe, int(bars.open_time[0]), len(bars), what)
        known = self._kept.get(key)
        if known is not None:
            self._kept.move_to_end(key)
            return known
        made = make()
        self._kept[key] = made
        self._size += made.nbytes
        while self._size > self._most and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            self._size -= gone.nbytes
        return made
