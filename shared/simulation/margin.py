"""Margin of USDT-margined linear contracts: maintenance, liquidation price, order cost.

Formulas follow Binance's published liquidation protocol: with quantity q > 0, sign s, entry price
EP and the bracket's rate and cum, ``LP = (WB - TMM + UPNL + cum - s q EP) / (q rate - s q)``.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from itertools import product

from shared.simulation.contracts import Contract
from shared.simulation.orders import ZERO


def maintenance(contract: Contract, notional: Decimal) -> Decimal:
    """Maintenance margin in USDT of a position's absolute notional at mark."""
    row = contract.bracket(notional)
    return notional * row.rate - row.cum


def initial(notional: Decimal, leverage: int) -> Decimal:
    """Initial margin in USDT of an absolute notional."""
    return notional / leverage


def liquidation_price(
    contract: Contract,
    *,
    quantity: Decimal,
    entry_price: Decimal,
    wallet: Decimal,
    other_maintenance: Decimal = ZERO,
    other_unrealized: Decimal = ZERO,
) -> Decimal:
    """Mark price at which the position's margin balance equals its maintenance margin.

    Parameters
    ----------
    contract : Contract
    quantity : Decimal
        Signed: positive long, negative short.
    entry_price : Decimal
    wallet : Decimal
        Isolated wallet, or the cross wallet for a cross position.
    other_maintenance, other_unrealized : Decimal
        Sums over the account's other cross positions at mark; zero for an isolated position.

    Returns
    -------
    Decimal
        Zero where no positive price liquidates it.
    """
    if not quantity:
        return ZERO
    size = abs(quantity)
    balance = wallet - other_maintenance + other_unrealized
    fallback = ZERO
    for row in contract.brackets:
        price = (balance + row.cum - quantity * entry_price) / (size * row.rate - quantity)
        if price <= 0:
            continue
        fallback = price
        if row.holds(size * price):
            return price
    return fallback


def hedge_liquidation_price(
    contract: Contract,
    *,
    long: tuple[Decimal, Decimal],
    short: tuple[Decimal, Decimal],
    wallet: Decimal,
    other_maintenance: Decimal,
    other_unrealized: Decimal,
) -> Decimal:
    """The common liquidation price of a cross-margined long and short of one symbol.

    ``long`` and ``short`` are (quantity > 0, entry price).
    """
    (q_long, ep_long), (q_short, ep_short) = long, short
    balance = wallet - other_maintenance + other_unrealized
    fallback = ZERO
    # Each side has the bracket of its own notional.
    for row, other in product(contract.brackets, repeat=2):
        top = balance + row.cum + other.cum - q_long * ep_long + q_short * ep_short
        below = q_long * row.rate + q_short * other.rate - q_long + q_short
        if not below or (price := top / below) <= 0:
            continue
        fallback = price
        if row.holds(q_long * price) and other.holds(q_short * price):
            return price
    return fallback


def open_order_notional(position: Decimal, bids: Decimal, asks: Decimal) -> Decimal:
    """Notional that open orders add to what the position already margins.

    Bids and asks cannot both add: the larger of the two outcomes counts.
    """
    return exposure(position, bids, asks) - abs(position)


def exposure(position: Decimal, bids: Decimal, asks: Decimal) -> Decimal:
    """Notional that a position and its open orders margin together."""
    return max(abs(position + bids), abs(position - asks), abs(position))


def open_loss(quantity: Decimal, price: Decimal, mark: Decimal, side: str) -> Decimal:
    """What an order loses at once against the mark price, in USDT."""
    return max(ZERO, quantity * ((price - mark) if side == "BUY" else (mark - price)))


def funding_fee(quantity: Decimal, mark: Decimal, rate: Decimal) -> Decimal:
    """Signed USDT the holder receives: a long pays when the rate is positive."""
    return -quantity * mark * rate


def total(values: Iterable[Decimal]) -> Decimal:
    """Exact sum."""
    return sum(values, ZERO)
