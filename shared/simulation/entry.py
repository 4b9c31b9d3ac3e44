"""Acceptance of plain orders: identity, filters, reduce-only, margin, then the book."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from shared.simulation import margin, matching
from shared.simulation.account import AccountState
from shared.simulation.balances import balances, order_notionals
from shared.simulation.core import VenueCore
from shared.simulation.filters import (
    check_notional,
    check_percent,
    check_price,
    check_quantity,
)
from shared.simulation.orders import ZERO, NewOrder, Order
from shared.simulation.refusal import VenueRefusal
from shared.simulation.settlement import signed

#: What the venue adds to a price at which an order may not be had.
_SAFETY = Decimal("1.0015")
_LAST_DATE = 253_402_300_799_000
CONDITIONAL_TYPES = frozenset(
    {"STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"}
)


def check(core: VenueCore, account: AccountState, request: NewOrder) -> Order:
    """Everything the venue verifies before an order exists; returns the order to submit.

    Raises
    ------
    VenueRefusal
        With the code of the first rule that is broken.
    """
    if request.type in CONDITIONAL_TYPES:
        raise VenueRefusal(-4120)
    contract = core.contract(request.symbol)
    check_mode(account, request.position_side, request.reduce_only)
    if is_taken(account, request.client_order_id):
        raise VenueRefusal(-4116)
    market = request.type == "MARKET"
    price = ZERO if market else limit_price(core, request)
    check_quantity(contract, request.quantity, market=market)
    if not market:
        check_price(contract, price)
        buy = request.side == "BUY"
        check_percent(contract, price, core.mark_price(request.symbol), buy=buy)
    until = good_till(core, request.good_till)
    if len(account.open_orders.get(request.symbol, {})) >= contract.max_orders:
        raise VenueRefusal(-2025)
    order = Order(
        order_id=core.next_id("order"),
        client_order_id=request.client_order_id or f"venue-{core.sequence['order']}",
        symbol=request.symbol,
        side=request.side,
        position_side=request.position_side,
        type=request.type,
        original_type=request.type,
        time_in_force=request.time_in_force,
        quantity=request.quantity,
        price=price,
        reduce_only=request.reduce_only,
        close_position=False,
        self_trade_prevention=request.self_trade_prevention,
        good_till=until,
        price_match=request.price_match,
        status="NEW",
        time=core.now,
        update_time=core.now,
    )
    if matching.must_reduce(account, order):
        order.quantity = min(order.quantity, check_reducing(account, order))
        check_release(core, account, order)
    else:
        core.quantitative.check(account, request.symbol, core.now)
        check_notional(
            contract, request.quantity, core.mark_price(request.symbol) if market else price
        )
        check_margin(core, account, order)
    return order


def submit(core: VenueCore, account: AccountState, order: Order) -> Order:
    """Put a checked order into the matching engine.

    Raises
    ------
    VenueRefusal
        Post-only would take (-5022), fill-or-kill cannot fill (-5021), nothing to take (-4131).
    """
    buy = order.side == "BUY"
    market = order.type == "MARKET"
    limit = matching.worst_price(core, order.symbol, buy) if market else order.price
    crossing = market or matching.crosses(core, account, order, order.price)
    if order.time_in_force == "GTX" and crossing and not market:
        raise VenueRefusal(-5022)
    if order.time_in_force == "FOK" and not market:
        wanted = order.quantity
        if not matching.is_obtainable(core, order.symbol, buy, limit, wanted):
            raise VenueRefusal(-5021)
    if market and not matching.is_obtainable(core, order.symbol, buy, limit, ZERO):
        raise VenueRefusal(-4131)
    matching.queue(core, order)
    account.add_order(order)
    core.quantitative.record(account, order.symbol, core.now)
    core.changed()
    core.emit_order(account, order, "NEW")
    if crossing:
        matching.take(core, account, order, limit)
    if order.is_open:
        _end_remainder(core, account, order, market)
    return order


def _end_remainder(core: VenueCore, account: AccountState, order: Order, market: bool) -> None:
    if matching.must_reduce(account, order) and not matching.reducible(account, order):
        matching.expire(core, account, order, matching.EXPIRED_BY_REDUCE_ONLY)
    elif market:
        matching.expire(core, account, order, matching.EXPIRED_UNFILLED_MARKET)
    elif order.time_in_force in ("IOC", "FOK"):
        matching.expire(core, account, order, matching.EXPIRED_BY_IOC)


def good_till(core: VenueCore, asked: int) -> int:
    """The end of a GTD order, zero without one: to the second, milliseconds do not count.

    Raises
    ------
    VenueRefusal
        -5040 within ten minutes, or beyond the year 9999.
    """
    if asked and not core.now + 600_000 < asked < _LAST_DATE:
        raise VenueRefusal(-5040)
    return asked - asked % 1000


def check_mode(account: AccountState, position_side: str, reduce_only: bool) -> None:
    """Position side against the account's position mode."""
    if position_side not in ("BOTH", "LONG", "SHORT"):
        raise VenueRefusal(-4060)
    if account.hedge == (position_side == "BOTH"):
        raise VenueRefusal(-4061)
    if account.hedge and reduce_only:
        raise VenueRefusal(-1106, "Parameter 'reduceonly' sent when not required.")


def is_taken(account: AccountState, client_order_id: str) -> bool:
    """Whether an open order has this id; ids of closed orders are free again."""
    order_id = account.latest_order.get(client_order_id)
    return order_id is not None and account.orders[order_id].is_open


def check_reducing(account: AccountState, order: Order) -> Decimal:
    """How much of the position no other reducing order has reserved.

    Raises
    ------
    VenueRefusal
        -2022 when nothing, or in hedge mode less than the order asks for.
    """
    reserved = sum(
        (
            other.remaining
            for other in account.working_orders(order.symbol)
            if other.side == order.side
            and other.position_side == order.position_side
            and matching.must_reduce(account, other)
        ),
        ZERO,
    )
    free = matching.reducible(account, order) - reserved
    if free <= 0 or (account.hedge and order.quantity > free):
        raise VenueRefusal(-2022)
    return free


def check_release(core: VenueCore, account: AccountState, order: Order) -> None:
    """Whether the orders that the position has margined can be margined without it.

    Raises
    ------
    VenueRefusal
        -4118: the same side's open orders would open a position that there is no balance for.
    """
    mark = core.mark_price(order.symbol)
    bids, asks = order_notionals(account, order.symbol, order.position_side)
    held = account.position(order.symbol, order.position_side).quantity * mark
    left = held + signed(order.side, order.quantity) * mark
    more = margin.exposure(left, bids, asks) - margin.exposure(held, bids, asks)
    leverage = account.setting(order.symbol).leverage
    if more > 0 and margin.initial(more, leverage) > balances(core, account).available:
        raise VenueRefusal(-4118)


def check_margin(core: VenueCore, account: AccountState, order: Order) -> None:
    """Enough free balance for what the order adds, and a bracket that allows the size."""
    symbol = order.symbol
    contract = core.contract(symbol)
    settings = account.setting(symbol)
    mark = core.mark_price(symbol)
    price = assumed_price(core, order)
    bids, asks = order_notionals(account, symbol, order.position_side)
    held = account.position(symbol, order.position_side).quantity * mark
    extra = order.quantity * price
    after_bids, after_asks = (bids + extra, asks) if order.side == "BUY" else (bids, asks + extra)
    largest = max(abs(held + after_bids), abs(held - after_asks))
    adding = margin.open_order_notional(held, after_bids, after_asks)
    adding -= margin.open_order_notional(held, bids, asks)
    if adding > 0 and largest > contract.largest_notional(settings.leverage):
        raise VenueRefusal(-2027)
    needed = _turning_cost(core, account, order) if settings.isolated else ZERO
    if adding > 0:
        loss = margin.open_loss(order.quantity, expected_price(core, order), mark, order.side)
        cost = margin.initial(adding, settings.leverage) + loss + extra * contract.taker_fee
        needed = max(needed, cost)
    if needed > 0 and needed > balances(core, account).available:
        raise VenueRefusal(-2019)


def assumed_price(core: VenueCore, order: Order) -> Decimal:
    """The price with which the venue reckons an order's initial margin.

    Published as "cost required to open a position": a limit buy at its own price; a sale at the
    highest of its price, the mark price and 0.15 % over the last price. A market buy gets the same
    margin of safety over the ask.
    """
    if order.side == "BUY":
        return order.price or core.book(order.symbol).ask * _SAFETY
    last = core.last_price(order.symbol) * _SAFETY
    return max(order.price, core.mark_price(order.symbol), last)


def expected_price(core: VenueCore, order: Order) -> Decimal:
    """The price from which the loss at the opening is reckoned: the limit, or that of a taker."""
    if order.price:
        return order.price
    return assumed_price(core, order) if order.side == "BUY" else core.book(order.symbol).bid


def _turning_cost(core: VenueCore, account: AccountState, order: Order) -> Decimal:
    """What turning an isolated position around takes from the free balance, in USDT.

    The old margin comes back less the loss that is realised; the new side locks its own.
    """
    position = account.position(order.symbol, order.position_side)
    opening = order.quantity - matching.reducible(account, order)
    if not position.quantity or opening in (order.quantity, ZERO) or opening < 0:
        return ZERO
    contract = core.contract(order.symbol)
    realized = position.quantity * (expected_price(core, order) - position.entry_price)
    locked = opening * assumed_price(core, order) / account.setting(order.symbol).leverage
    fee = order.quantity * assumed_price(core, order) * contract.taker_fee
    return locked + fee - realized - position.isolated_wallet


def probe(order: Order, quantity: Decimal, price: Decimal) -> Order:
    """What an order would be with another quantity and price, in no book, for the checks."""
    return msgspec.structs.replace(order, quantity=quantity, price=price, executed=ZERO)


def limit_price(core: VenueCore, request: NewOrder) -> Decimal:
    """The limit price; priceMatch takes it from the book."""
    if request.price_match == "NONE":
        return request.price
    return matched_price(core, request.symbol, request.side, request.price_match)


def matched_price(core: VenueCore, symbol: str, side: str, price_match: str) -> Decimal:
    """The price that a price match stands for now: ``OPPONENT``, ``QUEUE``, with a depth."""
    book = core.book(symbol)
    tick = core.contract(symbol).instrument.tick_size
    buy = side == "BUY"
    base, _, depth = price_match.partition("_")
    away = (int(depth or 1) - 1) * tick
    if base == "OPPONENT":
        return book.ask + away if buy else book.bid - away
    return book.bid - away if buy else book.ask + away
