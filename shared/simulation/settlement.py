"""What one execution does to the account: position, wallet, ledgers. Exact to 0.00000001 USDT."""

from __future__ import annotations

from decimal import Decimal

from shared.simulation.account import AccountState
from shared.simulation.core import VenueCore
from shared.simulation.orders import CENT, ZERO, Order, Position, Trade


def signed(side: str, quantity: Decimal) -> Decimal:
    return quantity if side == "BUY" else -quantity


def settle(
    core: VenueCore,
    account: AccountState,
    order: Order,
    price: Decimal,
    quantity: Decimal,
    *,
    maker: bool,
    fee_rate: Decimal | None = None,
    execution: str = "TRADE",
) -> Trade:
    """Book one execution of an order.

    Parameters
    ----------
    fee_rate : Decimal, optional
        Instead of the contract's maker or taker fee (liquidations pay another fee).
    execution : str
        Binance's ``x`` of the order event; CALCULATED for liquidations.
    """
    contract = core.contract(order.symbol)
    rate = fee_rate
    if rate is None:
        rate = contract.maker_fee if maker else contract.taker_fee
    commission = (price * quantity * rate).quantize(CENT)
    realized = _move(
        core, account, order.symbol, order.position_side, order.side, price, quantity, commission
    )
    trade = Trade(
        trade_id=core.next_id("trade"),
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        position_side=order.position_side,
        price=price,
        quantity=quantity,
        realized_pnl=realized,
        commission=commission,
        maker=maker,
        time=core.now,
    )
    account.add_trade(trade)
    account.cross_wallet += realized - commission
    if realized:
        core.book_income(
            account, "REALIZED_PNL", realized, symbol=order.symbol, trade_id=trade.trade_id
        )
    if commission:
        core.book_income(
            account, "COMMISSION", -commission, symbol=order.symbol, trade_id=trade.trade_id
        )
    order.executed += quantity
    order.quote += price * quantity
    order.update_time = core.now
    order.status = "FILLED" if order.executed >= order.quantity else "PARTIALLY_FILLED"
    account.touch(order)
    core.changed()
    core.emit_order(account, order, execution, trade)
    held = account.position(order.symbol, order.position_side)
    core.emit_account(account, "ORDER", (held,), isolated=account.setting(order.symbol).isolated)
    return trade


def _move(
    core: VenueCore,
    account: AccountState,
    symbol: str,
    position_side: str,
    side: str,
    price: Decimal,
    quantity: Decimal,
    commission: Decimal,
) -> Decimal:
    """Change the position and the margin it locks; returns the realised P&L."""
    settings = account.setting(symbol)
    position = account.position(symbol, position_side)
    delta = signed(side, quantity)
    realized = ZERO
    opening = delta
    if position.quantity and (position.quantity > 0) != (delta > 0):
        closing = min(quantity, abs(position.quantity))
        realized = _reduce(account, position, closing, price)
        opening = delta - signed(side, closing)
    if opening:
        _increase(account, position, opening, price, settings.isolated, settings.leverage)
        position.entry_fees += commission * abs(opening) / quantity
    position.update_time = core.now
    account.store_position(position)
    return realized


def _reduce(account: AccountState, position: Position, closing: Decimal, price: Decimal) -> Decimal:
    held = abs(position.quantity)
    gain = price - position.entry_price
    realized = (closing * (gain if position.quantity > 0 else -gain)).quantize(CENT)
    if closing == held:
        released, fees = position.isolated_wallet, position.entry_fees
    else:
        released = (position.isolated_wallet * closing / held).quantize(CENT)
        fees = position.entry_fees * closing / held
    position.isolated_wallet -= released
    account.cross_wallet += released
    position.entry_fees -= fees
    position.realized += realized
    position.quantity -= closing if position.quantity > 0 else -closing
    if not position.quantity:
        position.entry_price = ZERO
    return realized


def _increase(
    account: AccountState,
    position: Position,
    opening: Decimal,
    price: Decimal,
    isolated: bool,
    leverage: int,
) -> None:
    cost = position.quantity * position.entry_price + opening * price
    position.quantity += opening
    position.entry_price = cost / position.quantity
    if isolated:
        locked = (abs(opening) * price / leverage).quantize(CENT)
        position.isolated_wallet += locked
        account.cross_wallet -= locked
