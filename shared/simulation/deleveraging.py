"""Auto-deleveraging: the venue closes a profitable position against one it could not liquidate.

It happens to an account without its doing: the position shrinks at the mark price (the other
side's bankruptcy price in a calm market), without a fee, and the symbol's plain orders are
cancelled. Whoever simulates it says when.
"""

from __future__ import annotations

from decimal import Decimal

from shared.errors import InvalidInput
from shared.simulation import matching
from shared.simulation.account import AccountState
from shared.simulation.core import VenueCore
from shared.simulation.orders import ZERO, Order
from shared.simulation.settlement import settle

CLIENT_ID = "adl_autoclose"


def deleverage(
    core: VenueCore, account: AccountState, symbol: str, quantity: Decimal, side: str = "BOTH"
) -> Order:
    """Take ``quantity`` off a position; the order that did it.

    Raises
    ------
    InvalidInput
        There is no such position, or less of it.
    """
    position = account.position(symbol, side)
    if not ZERO < quantity <= abs(position.quantity):
        raise InvalidInput(f"{symbol} {side}: cannot deleverage {quantity} of {position.quantity}")
    for resting in account.working_orders(symbol):
        matching.cancel(core, account, resting)
    tick = core.contract(symbol).instrument.tick_size
    price = (core.mark_price(symbol) / tick).to_integral_value() * tick
    order = Order(
        order_id=core.next_id("order"),
        client_order_id=CLIENT_ID,
        symbol=symbol,
        side="SELL" if position.quantity > 0 else "BUY",
        position_side=side,
        type="LIMIT",
        original_type="LIMIT",
        time_in_force="IOC",
        quantity=quantity,
        price=price,
        reduce_only=True,
        close_position=False,
        self_trade_prevention="EXPIRE_MAKER",
        good_till=0,
        price_match="NONE",
        status="NEW",
        time=core.now,
        update_time=core.now,
    )
    account.add_order(order)
    core.emit_order(account, order, "NEW")
    settle(
        core,
        account,
        order,
        price,
        quantity,
        maker=False,
        fee_rate=ZERO,
        execution="CALCULATED",
    )
    matching.after_fill(core, account, order)
    return order
