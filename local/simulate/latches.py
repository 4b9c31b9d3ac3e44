"""Whether automatic latches of the kill switch show what really happened, and none is missing.

Judged by the venue's own data: the closes of its bars, the orders that people sent.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Any

from local.simulate.market import RestlessMarket
from local.simulate.signals import WINDOW
from shared.market.timeframe import MINUTE_MS
from shared.risk.triggers import Thresholds

#: Bars that count as recent.
RECENT = 5

#: A bar that was heard, and is abnormal, must have latched the switch after so long.
HEEDED_MS = 60_000

#: Figures are computed here in floats, so what is this close to a limit is not judged.
NEAR = 0.01


class Latches:
    """Judges the automatic triggers, one episode.

    Parameters
    ----------
    market : RestlessMarket
    thresholds : Thresholds
        Those in force.
    max_drawdown : Decimal
    foreign : collection of str
        Client ids of all that people sent so far.
    """

    def __init__(
        self,
        market: RestlessMarket,
        thresholds: Thresholds,
        max_drawdown: Decimal,
        foreign: Collection[str],
    ) -> None:
        self._market = market
        self._floor = float(thresholds.volatility_floor)
        self._ratio = float(thresholds.volatility_ratio)
        self._max_drawdown = max_drawdown
        self._foreign = foreign
        #: Bars that the application was told of: when, of which symbol, opened at.
        self._heard: list[tuple[int, str, int]] = []

    def wrong(self, trigger: str, proof: Mapping[str, Any], armed_at: int) -> str:
        """What is wrong with a latch; empty when its evidence shows what the venue shows."""
        if trigger == "manual":
            return ""
        if trigger == "max_drawdown":
            equity, peak = Decimal(proof["equity"]), Decimal(proof["peak"])
            fell = (peak - equity) / peak
            return "" if fell >= self._max_drawdown else f"a drawdown that is none: {proof}"
        if trigger == "suspicious_activity" and proof.get("kind") == "foreign_orders":
            more = proof["count"] > len(self._foreign)
            return f"more foreign orders than there ever were: {proof}" if more else ""
        if trigger == "abnormal_volatility":
            last = proof["observed_at"] - MINUTE_MS
            recent, ratio = self._volatility(proof["symbol"], last, armed_at)
            usual = recent < self._floor * (1 - NEAR) or ratio < self._ratio * (1 - NEAR)
            return f"volatility {recent}, {ratio} times the usual: {proof}" if usual else ""
        return f"{trigger}: {proof}"

    def heard(self, symbol: str, opened: int, now: int) -> None:
        """The application was told of a bar."""
        self._heard.append((now, symbol, opened))

    def unheeded(self, now: int, armed_since: int | None) -> str:
        """An abnormal bar that should have latched the switch by now; empty when there is none.

        ``armed_since`` is ``None`` while the switch is latched.
        """
        found = ""
        while self._heard and now - self._heard[0][0] > HEEDED_MS:
            told, symbol, opened = self._heard.pop(0)
            if armed_since is None or opened - RECENT * MINUTE_MS < armed_since or found:
                continue
            recent, ratio = self._volatility(symbol, opened, armed_since)
            if recent > self._floor * (1 + NEAR) and ratio > self._ratio * (1 + NEAR):
                found = f"{symbol} moved {ratio:.1f} times as usual, told at {told}; not latched"
        return found

    def _volatility(self, symbol: str, last: int, since: int) -> tuple[float, float]:
        """Root mean square of the recent returns, and its ratio to that of those before.

        Of the recent ones only bars that opened at ``since`` or later count.
        """
        closes = self._market.closes(symbol, last, WINDOW)
        moves = [math.log(b / a) for a, b in pairwise(closes)]
        fresh = max(0, min(RECENT, (last - since) // MINUTE_MS + 1))
        usual, recent = moves[:-RECENT], moves[len(moves) - fresh :]
        now = math.sqrt(sum(m * m for m in recent) / RECENT)
        return now, now / math.sqrt(sum(m * m for m in usual) / len(usual))
