"""Closed round trips: what a position earned, from the exchange's own fills and income."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from shared.execution.exchange import Fill, Income, Side

CONTAINER = "trades"
#: Settlements of funding; the special one is for single contracts in odd markets.
FUNDING = frozenset({"FUNDING_FEE", "SPECIAL_FUNDING_FEE"})
#: The liquidation fee is booked with the fills or right after them, milliseconds.
CLEARING_MS = 5_000


class Trade(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One closed round trip; its id is the decision's.

    ``gross_pnl`` excludes, ``net_pnl`` includes ``fees`` (positive when paid, the fee of a
    liquidation among them) and ``funding`` (positive when received). ``r_multiple`` is ``net_pnl``
    over the amount risked at entry. ``venue`` (``simulated``, ``demo``, ``production``) and
    ``stage`` are those it was opened on and in; empty in trades older than these fields.
    """

    id: str
    account: str
    symbol: str
    side: Side
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    opened_at: int
    closed_at: int
    gross_pnl: Decimal
    fees: Decimal
    funding: Decimal
    net_pnl: Decimal
    r_multiple: Decimal
    exit_reason: str
    fills: int
    venue: str = ""
    stage: str = ""


def summarize(
    *,
    decision_id: str,
    account: str,
    symbol: str,
    side: Side,
    opened_at: int,
    risk_amount: Decimal,
    exit_reason: str,
    fills: Sequence[Fill],
    income: Sequence[Income],
    venue: str,
    stage: str,
) -> Trade | None:
    """The trade that these fills make up, or ``None`` while they are not flat.

    Parameters
    ----------
    fills : sequence of Fill
        All fills of the position, entry and exits, ascending; their commission in USDT.
    income : sequence of Income
        The account's income since ``opened_at``; only this symbol's funding and liquidation fee
        count.
    """
    entries = [f for f in fills if f.side == side]
    exits = [f for f in fills if f.side != side]
    entered = sum((f.quantity for f in entries), Decimal(0))
    exited = sum((f.quantity for f in exits), Decimal(0))
    if not entries or entered != exited:
        return None
    gross = sum((f.realized_pnl for f in fills), Decimal(0))
    fees = sum((f.commission for f in fills), Decimal(0))
    closed_at = exits[-1].time
    funding = _booked(income, symbol, FUNDING, opened_at, closed_at)
    cleared = frozenset({"INSURANCE_CLEAR"})
    fees -= _booked(income, symbol, cleared, opened_at, closed_at + CLEARING_MS)
    net = gross - fees + funding
    return Trade(
        id=decision_id,
        account=account,
        symbol=symbol,
        side=side,
        quantity=entered,
        entry_price=average_price(entries),
        exit_price=average_price(exits),
        opened_at=opened_at,
        closed_at=closed_at,
        gross_pnl=gross,
        fees=fees,
        funding=funding,
        net_pnl=net,
        r_multiple=(net / risk_amount).quantize(Decimal("0.0001")) if risk_amount else Decimal(0),
        exit_reason=exit_reason,
        fills=len(fills),
        venue=venue,
        stage=stage,
    )


def _booked(
    income: Sequence[Income], symbol: str, kinds: frozenset[str], start: int, end: int
) -> Decimal:
    return sum(
        (
            i.income
            for i in income
            if i.symbol == symbol and i.income_type in kinds and start <= i.time <= end
        ),
        Decimal(0),
    )


def average_price(fills: Sequence[Fill]) -> Decimal:
    """Volume-weighted price to eight decimals."""
    quantity = sum((f.quantity for f in fills), Decimal(0))
    value = sum((f.price * f.quantity for f in fills), Decimal(0))
    return (value / quantity).quantize(Decimal("0.00000001")).normalize()
