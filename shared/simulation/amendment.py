"""Changing a resting limit order in place: new price and quantity, the back of the queue."""

from __future__ import annotations

from decimal import Decimal

from shared.simulation import entry, matching
from shared.simulation.account import AccountState
from shared.simulation.core import VenueCore
from shared.simulation.filters import check_percent, check_price, check_quantity, plain
from shared.simulation.orders import Amendment, Order
from shared.simulation.refusal import VenueRefusal

#: How often one order may be changed.
MAX_AMENDMENTS = 10_000


def amend(
    core: VenueCore,
    account: AccountState,
    order: Order,
    *,
    side: str,
    quantity: Decimal,
    price: Decimal,
    modify_id: int | None = None,
    reduce_only: bool = False,
) -> Order:
    """Give an order another price and quantity.

    A refused amendment leaves the order as it is. An accepted one ends it where the venue says
    so: the new quantity is already executed, or a post-only order would take.

    Parameters
    ----------
    side : str
        Has to be the order's own.
    quantity : Decimal
        New total quantity, what is executed included.
    price : Decimal
    modify_id : int, optional
        The caller's own number, echoed.
    reduce_only : bool
        Skips the smallest notional; the order has to be reduce-only already.

    Raises
    ------
    VenueRefusal
        With the code of the first rule that is broken; -5027 when nothing would change.
    """
    if order.type != "LIMIT" or order.algo_id:
        raise VenueRefusal(-5025)
    if side != order.side:
        raise VenueRefusal(-1117, "Invalid side.")
    if reduce_only and not order.reduce_only:
        raise VenueRefusal(-5047)
    if (price, quantity) == (order.price, order.quantity):
        raise VenueRefusal(-5027)
    if order.amendments >= MAX_AMENDMENTS:
        raise VenueRefusal(-5026)
    _check_filters(core, order, quantity, price, skip_notional=reduce_only)
    if quantity > order.executed:
        quantity = _allowed(core, account, order, quantity, price)
    before = (order.price, order.quantity)
    if order.executed and quantity <= order.executed:
        matching.cancel(core, account, order)
        _record(core, account, order, before, (price, quantity), modify_id)
        return order
    crossing = matching.crosses(core, account, order, price)
    if order.time_in_force == "GTX" and crossing:
        matching.cancel(core, account, order)
        _record(core, account, order, before, (price, quantity), modify_id)
        return order
    order.price, order.quantity = price, quantity
    order.price_match = "NONE"
    # The venue forgets the mode with the amendment.
    order.self_trade_prevention = "NONE"
    matching.queue(core, order)
    order.amendments += 1
    order.modify_id = modify_id
    order.update_time = core.now
    account.touch(order)
    core.changed()
    _record(core, account, order, before, (price, quantity), modify_id)
    core.emit_order(account, order, "AMENDMENT")
    if crossing:
        matching.take(core, account, order, price)
    return order


def _check_filters(
    core: VenueCore, order: Order, quantity: Decimal, price: Decimal, *, skip_notional: bool
) -> None:
    contract = core.contract(order.symbol)
    check_quantity(contract, quantity, market=False)
    check_price(contract, price)
    check_percent(contract, price, core.mark_price(order.symbol), buy=order.side == "BUY")
    least = contract.instrument.min_notional
    if not skip_notional and quantity * price < least:
        raise VenueRefusal(-5029, f"Order's notional must be no smaller than {plain(least)}.")


def _allowed(
    core: VenueCore, account: AccountState, order: Order, quantity: Decimal, price: Decimal
) -> Decimal:
    """Margin and reduce-only rules for the changed order, as if the old one were not there.

    The quantity, cut to the position where it may only reduce.
    """
    old = (order.price, order.quantity)
    # With nothing remaining the order reserves nothing while the new one is judged.
    order.quantity = order.executed
    try:
        wanted = entry.probe(order, quantity - order.executed, price)
        if matching.must_reduce(account, order):
            return min(quantity, order.executed + entry.check_reducing(account, wanted))
        entry.check_margin(core, account, wanted)
        return quantity
    finally:
        order.price, order.quantity = old


def _record(
    core: VenueCore,
    account: AccountState,
    order: Order,
    before: tuple[Decimal, Decimal],
    after: tuple[Decimal, Decimal],
    modify_id: int | None,
) -> None:
    account.add_amendment(
        Amendment(
            amendment_id=core.next_id("amendment"),
            order_id=order.order_id,
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            time=core.now,
            price_before=before[0],
            price_after=after[0],
            quantity_before=before[1],
            quantity_after=after[1],
            count=max(1, order.amendments),
            modify_id=modify_id,
        )
    )
