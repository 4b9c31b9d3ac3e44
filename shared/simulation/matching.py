"""Executions: takers walk the book, resting orders are met by the path.

A resting order is last in its queue: it fills only when the path trades through its price by a
tick, and takes at most a share of the bar's volume per bar.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from shared.simulation.account import AccountState
from shared.simulation.core import VenueCore
from shared.simulation.link import finish, set_status
from shared.simulation.orders import ZERO, Order
from shared.simulation.settlement import settle

#: Share of a bar's volume that resting orders of one side can take.
PARTICIPATION = 0.1

EXPIRED_BY_IOC = 2
EXPIRED_BY_SELF_TRADE = 1
EXPIRED_BY_IOC_SELF_TRADE = 3
EXPIRED_BY_REDUCE_ONLY = 4
EXPIRED_BY_LIQUIDATION = 5
EXPIRED_UNFILLED_MARKET = 9


def reducible(account: AccountState, order: Order) -> Decimal:
    """How much of a reduce-only order the position still allows."""
    held = account.position(order.symbol, order.position_side).quantity
    against = held < 0 if order.side == "BUY" else held > 0
    return abs(held) if against else ZERO


def must_reduce(account: AccountState, order: Order) -> bool:
    """Whether an order may only ever reduce: flagged, or the closing side in hedge mode."""
    if order.reduce_only or order.close_position:
        return True
    return (order.position_side, order.side) in (("LONG", "SELL"), ("SHORT", "BUY"))


def worst_price(core: VenueCore, symbol: str, buy: bool) -> Decimal:
    """How far a market order may reach from the mark price."""
    bound = core.contract(symbol).instrument.market_take_bound
    return core.mark_price(symbol) * (1 + bound if buy else 1 - bound)


def is_obtainable(
    core: VenueCore, symbol: str, buy: bool, limit: Decimal, quantity: Decimal
) -> bool:
    """Whether more than nothing, up to ``quantity``, is on offer at ``limit`` or better."""
    total = ZERO
    for price, offered in core.book(symbol).levels(buy):
        if price > limit if buy else price < limit:
            break
        total += offered
        if total >= quantity:
            break
    return total > 0 and total >= quantity


def crosses(core: VenueCore, account: AccountState, order: Order, price: Decimal) -> bool:
    """Whether an order at a limit price would meet the book or an order of the same account."""
    buy = order.side == "BUY"
    book = core.book(order.symbol)
    if price >= book.ask if buy else price <= book.bid:
        return True
    return any(_own_offers(account, order, price))


def take(core: VenueCore, account: AccountState, order: Order, limit: Decimal) -> None:
    """Execute what an order finds at ``limit`` or better, level by level.

    At one price the book stands before our own resting orders.
    """
    buy = order.side == "BUY"
    wanted = order.remaining
    if must_reduce(account, order):
        wanted = min(wanted, reducible(account, order))
    for price, offered in core.book(order.symbol).levels(buy):
        if wanted <= 0 or (price > limit if buy else price < limit):
            break
        if not _prevent_self_trade(core, account, order, price, inside=True):
            wanted = ZERO
            break
        quantity = min(wanted, offered)
        core.take_from_book(order.symbol, buy, price, quantity)
        settle(core, account, order, price, quantity, maker=False)
        wanted -= quantity
    if wanted > 0:
        _prevent_self_trade(core, account, order, limit)
    after_fill(core, account, order)


def queue(core: VenueCore, order: Order) -> None:
    """Put an order at the back of its queue.

    In a recording the bar it arrives in cannot fill it: which of its trades came after the order is
    not told by the bar's path.
    """
    if core.is_recorded:
        order.resume_at = core.now - core.now % core.bar_ms + core.bar_ms


def expire(core: VenueCore, account: AccountState, order: Order, reason: int) -> None:
    """Close an order that the venue itself ends."""
    prevented = reason in (EXPIRED_BY_SELF_TRADE, EXPIRED_BY_IOC_SELF_TRADE)
    order.status = "EXPIRED_IN_MATCH" if prevented else "EXPIRED"
    order.expiry_reason = reason
    order.update_time = core.now
    account.touch(order)
    core.changed()
    core.emit_order(account, order, "EXPIRED")
    finish(core, account, order)


def cancel(core: VenueCore, account: AccountState, order: Order) -> None:
    """Cancel a working order."""
    order.status = "CANCELED"
    order.update_time = core.now
    account.touch(order)
    core.changed()
    core.emit_order(account, order, "CANCELED")
    finish(core, account, order)


def meet(core: VenueCore, account: AccountState, order: Order) -> None:
    """The path trades through a resting order: fill it as maker, as far as the volume goes."""
    contract = core.contract(order.symbol)
    step = contract.instrument.step_size
    bar = core.path(order.symbol).bar
    if bar.volume <= 0:
        # Nobody traded: the price stands where the last trade left it.
        order.resume_at = bar.open_time + core.bar_ms
        account.touch(order)
        core.changed()
        return
    lots = max(1, int(bar.volume * PARTICIPATION / float(step)))
    # All resting orders of a side share what a bar has for them.
    left = lots * step - core.met(order.symbol, order.side)
    wanted = order.remaining
    if must_reduce(account, order):
        wanted = min(wanted, reducible(account, order))
    if wanted <= 0:
        expire(core, account, order, EXPIRED_BY_REDUCE_ONLY)
        return
    if left <= 0:
        order.resume_at = bar.open_time + core.bar_ms
        account.touch(order)
        core.changed()
        return
    quantity = min(wanted, left)
    core.meets(order.symbol, order.side, quantity)
    settle(core, account, order, order.price, quantity, maker=True)
    if order.is_open:
        order.resume_at = bar.open_time + core.bar_ms
        if must_reduce(account, order) and not reducible(account, order):
            expire(core, account, order, EXPIRED_BY_REDUCE_ONLY)
    after_fill(core, account, order)


def after_fill(core: VenueCore, account: AccountState, order: Order) -> None:
    """Consequences of a changed position for the orders that lean on it.

    Plain reduce-only orders that have nothing left to reduce are knocked out; conditional orders
    that exist only with a position (closePosition, GTE_GTC) expire. Conditional reduce-only
    orders with a quantity stay armed, as they do on the venue.
    """
    symbol = order.symbol
    finish(core, account, order)
    if symbol in account.open_orders:
        for other in account.working_orders(symbol):
            if other is not order and must_reduce(account, other) and not reducible(account, other):
                expire(core, account, other, EXPIRED_BY_REDUCE_ONLY)
    if symbol in account.open_algos:
        for algo in account.working_algos(symbol):
            leans = algo.close_position or algo.time_in_force == "GTE_GTC"
            held = account.position(symbol, algo.position_side).quantity
            against = held < 0 if algo.side == "BUY" else held > 0
            if leans and not against:
                set_status(core, account, algo, "EXPIRED")


def _own_offers(
    account: AccountState, taker: Order, limit: Decimal, *, inside: bool = False
) -> Iterator[Order]:
    """The account's own orders that a taker meets at ``limit`` or, ``inside``, before it."""
    buy = taker.side == "BUY"
    for maker in account.working_orders(taker.symbol):
        if maker.side == taker.side or maker is taker:
            continue
        better = maker.price < limit if buy else maker.price > limit
        if better or (maker.price == limit and not inside):
            yield maker


def _prevent_self_trade(
    core: VenueCore, account: AccountState, taker: Order, limit: Decimal, *, inside: bool = False
) -> bool:
    """Self-trade prevention in the taker's mode; whether the taker goes on."""
    mode = taker.self_trade_prevention
    if taker.time_in_force in ("FOK", "GTX") or mode == "NONE":
        return True
    for maker in _own_offers(account, taker, limit, inside=inside):
        if mode in ("EXPIRE_MAKER", "EXPIRE_BOTH"):
            expire(core, account, maker, EXPIRED_BY_SELF_TRADE)
        if mode in ("EXPIRE_TAKER", "EXPIRE_BOTH"):
            immediate = taker.time_in_force == "IOC"
            reason = EXPIRED_BY_IOC_SELF_TRADE if immediate else EXPIRED_BY_SELF_TRADE
            expire(core, account, taker, reason)
            return False
    return True
