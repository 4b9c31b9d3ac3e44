"""Portfolio heat: what is lost if every stop is hit, as a share of the equity."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from shared.risk.checks import exact
from shared.risk.exposure import UNKNOWN_STOP_FRACTION, committed_risk
from shared.risk.plan import Exposure

ZERO = Decimal(0)


class Heat(msgspec.Struct, frozen=True, kw_only=True):
    """Open risk in USDT, in all and by symbol, and as a fraction of equity."""

    open_risk: Decimal
    fraction: Decimal | None
    by_symbol: dict[str, Decimal]


def heat(exposures: Sequence[Exposure], equity: Decimal) -> Heat | None:
    """Heat of what is open and reserved; exposure without a known stop counts the widest one.

    Risk is what the ledger holds: the loss at the first stop, costs included. A stop that has
    been trailed into profit since makes it smaller in truth, never larger.

    Returns
    -------
    Heat or None
        ``None`` when a figure cannot be trusted. ``fraction`` is ``None`` without equity.
    """
    with exact():
        total = committed_risk(exposures)
        if total is None:
            return None
        by_symbol = {}
        for symbol in sorted({e.symbol for e in exposures}):
            alone = committed_risk([e for e in exposures if e.symbol == symbol])
            by_symbol[symbol] = ZERO if alone is None else alone
        return Heat(
            open_risk=total,
            fraction=total / equity if equity > 0 else None,
            by_symbol=by_symbol,
        )


def risk_to_stop(
    quantity: Decimal, mark_price: Decimal, stop_price: Decimal | None, cost_fraction: Decimal
) -> Decimal:
    """USDT between the mark price and the stop as it stands now, costs included, never negative.

    Parameters
    ----------
    quantity : Decimal
        Signed.
    stop_price : Decimal, optional
        ``None``: unknown, the widest stop there may be.
    cost_fraction : Decimal
        Fees and slippage of leaving, of notional.
    """
    with exact():
        notional = abs(quantity) * mark_price
        if stop_price is None:
            return notional * UNKNOWN_STOP_FRACTION
        distance = (mark_price - stop_price) * (1 if quantity > 0 else -1)
        return max(ZERO, abs(quantity) * distance + notional * cost_fraction)
