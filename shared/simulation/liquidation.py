"""Liquidation: open orders expire, the position is closed at market, a fee is taken.

The fee is at most what is left of the margin; a loss beyond the margin is carried by the
insurance fund. Both are income of kind INSURANCE_CLEAR, so the wallet stays the ledger's sum.
"""

from __future__ import annotations

from decimal import Decimal

from shared.simulation import margin, matching
from shared.simulation.account import AccountState
from shared.simulation.core import VenueCore
from shared.simulation.orders import CENT, ZERO, Order, Position
from shared.simulation.settlement import settle


def liquidate_isolated(core: VenueCore, account: AccountState, position: Position) -> None:
    """Close an isolated position; its loss ends at its isolated wallet."""
    for order in account.working_orders(position.symbol):
        matching.expire(core, account, order, matching.EXPIRED_BY_LIQUIDATION)
    locked = position.isolated_wallet
    closed, order = _close(core, account, position)
    _clear(core, account, position.symbol, locked + closed.pnl, closed.notional)
    matching.after_fill(core, account, order)


def liquidate_cross(core: VenueCore, account: AccountState) -> None:
    """Close cross positions, the worst first, until the rest is margined again."""
    for symbol in list(account.open_orders):
        if not account.setting(symbol).isolated:
            for order in account.working_orders(symbol):
                matching.expire(core, account, order, matching.EXPIRED_BY_LIQUIDATION)
    while worst := _worst(core, account):
        closed, order = _close(core, account, worst)
        left = [p for p in account.positions.values() if not account.setting(p.symbol).isolated]
        # While other positions remain, the wallet may go below zero: they carry it.
        budget = account.cross_wallet if not left else max(ZERO, account.cross_wallet)
        _clear(core, account, worst.symbol, budget, closed.notional)
        matching.after_fill(core, account, order)
        if cross_surplus(core, account) > 0:
            return


def cross_surplus(core: VenueCore, account: AccountState) -> Decimal:
    """Cross margin balance less cross maintenance margin at mark, in USDT."""
    surplus = account.cross_wallet
    for position in account.positions.values():
        if account.setting(position.symbol).isolated:
            continue
        mark = core.mark_price(position.symbol)
        notional = abs(position.quantity) * mark
        surplus += position.unrealized(mark)
        surplus -= margin.maintenance(core.contract(position.symbol), notional)
    return surplus


class _Closed:
    __slots__ = ("notional", "pnl")

    def __init__(self, pnl: Decimal, notional: Decimal) -> None:
        self.pnl = pnl
        self.notional = notional


def _close(core: VenueCore, account: AccountState, position: Position) -> tuple[_Closed, Order]:
    quantity = abs(position.quantity)
    buy = position.quantity < 0
    order_id = core.next_id("order")
    book = core.book(position.symbol)
    order = Order(
        order_id=order_id,
        client_order_id=f"autoclose-{core.now}{order_id}",
        symbol=position.symbol,
        side="BUY" if buy else "SELL",
        position_side=position.side,
        type="LIMIT",
        original_type="LIMIT",
        time_in_force="IOC",
        quantity=quantity,
        price=book.ask if buy else book.bid,
        reduce_only=True,
        close_position=False,
        self_trade_prevention="EXPIRE_MAKER",
        good_till=0,
        price_match="NONE",
        status="NEW",
        time=core.now,
        update_time=core.now,
        expiry_reason=5,
    )
    account.add_order(order)
    core.emit_order(account, order, "NEW")
    pnl = ZERO
    price = order.price
    for price, offered in book.levels(buy):
        part = min(order.remaining, offered)
        core.take_from_book(position.symbol, buy, price, part)
        pnl += settle(
            core, account, order, price, part, maker=False, fee_rate=ZERO, execution="CALCULATED"
        ).realized_pnl
        if not order.remaining:
            break
    else:
        pnl += settle(
            core,
            account,
            order,
            price,
            order.remaining,
            maker=False,
            fee_rate=ZERO,
            execution="CALCULATED",
        ).realized_pnl
    return _Closed(pnl, order.quote), order


def _clear(
    core: VenueCore, account: AccountState, symbol: str, budget: Decimal, notional: Decimal
) -> None:
    fee = (notional * core.contract(symbol).instrument.liquidation_fee).quantize(CENT)
    amount = -min(fee, budget) if budget >= 0 else -budget
    if amount:
        account.cross_wallet += amount
        core.book_income(account, "INSURANCE_CLEAR", amount, symbol=symbol)
        core.changed()
        core.emit_account(account, "INSURANCE_CLEAR", change=amount, symbol=symbol)


def _worst(core: VenueCore, account: AccountState) -> Position | None:
    cross = [p for p in account.positions.values() if not account.setting(p.symbol).isolated]
    if not cross:
        return None
    return min(cross, key=lambda p: p.unrealized(core.mark_price(p.symbol)))
