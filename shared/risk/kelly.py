"""The Kelly criterion from the account's own closed trades, capped and in part only.

A trade's outcome is its R multiple: net result over the amount risked at entry. Risking the
fraction ``f`` of equity on each trade makes wealth grow by the mean of ``log(1 + f R)`` per trade;
the full Kelly fraction maximises that. It is estimated, and too large an estimate ruins where too
small a one only earns less, so a part of it is used, and only once the record is long enough.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import ROUND_DOWN, Decimal

import msgspec

#: The newest trades that count.
RECORD_TRADES = 300
#: No estimate goes beyond this fraction of equity at risk in a trade, however good the record.
MAX_KELLY = Decimal("0.25")
#: Digits of the estimate.
PLACES = Decimal("0.000001")


class TradeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the closed trades say: how many there are, and the full Kelly fraction of them."""

    trades: int
    kelly: Decimal


def trade_record(multiples: Iterable[Decimal]) -> TradeRecord:
    """The record of trades by their R multiples, newest first; those without a risk are left out.

    Zero is how a trade without a known risk is stored.
    """
    found = [r for r in multiples if r.is_finite() and r != 0][:RECORD_TRADES]
    return TradeRecord(trades=len(found), kelly=full_kelly([float(r) for r in found]))


def full_kelly(multiples: Sequence[float]) -> Decimal:
    """The fraction of equity at risk that lets wealth grow fastest, 0 to :data:`MAX_KELLY`.

    For outcomes of ``+b`` with probability ``p`` and ``-1`` otherwise it is ``p - (1 - p) / b``
    (Kelly, 1956). A record whose mean is not positive has none: 0.
    """
    if not multiples or math.fsum(multiples) <= 0:
        return Decimal(0)
    worst = min(multiples)
    low = 0.0
    high = float(MAX_KELLY) if worst >= 0 else min(float(MAX_KELLY), 0.999999 / -worst)
    if _slope(multiples, high) >= 0:
        low = high
    else:
        # The growth rate is concave: its slope falls from the mean to below zero.
        for _ in range(60):
            middle = (low + high) / 2
            if _slope(multiples, middle) > 0:
                low = middle
            else:
                high = middle
    return Decimal(repr(low)).quantize(PLACES, ROUND_DOWN)


def _slope(multiples: Sequence[float], fraction: float) -> float:
    return math.fsum(r / (1 + fraction * r) for r in multiples)
