"""What to do when the exchange refuses a close: some refusals say how it could be had.

Too large for one market order (-4005): in parts. Off the grid of quantities or below the least one
(-1111, -4023, -4004), because the symbol's rules have changed since: the next larger quantity; it
closes what there is and no more.

Refused as reduce-only although the position is there: other reducing orders have it reserved
(-2022), or orders of its side would open something that there is no margin for (-4118). They go,
whoever sent them: an order that waits for its price must not keep a position from being closed now.
"""

from __future__ import annotations

import logging
from decimal import ROUND_CEILING
from functools import partial

import msgspec

from shared.errors import ExchangeError
from shared.execution import orders
from shared.execution.books import Books
from shared.execution.desk import Desk
from shared.execution.exchange import OrderRequest, VenueOrder, instrument_of
from shared.execution.ids import client_id, is_ours

TOO_LARGE = "-4005 "
OFF_GRID = ("-1111 ", "-4023 ", "-4004 ")
RESERVED = "-2022 "
MARGINED = "-4118 "

#: Parts of one close at most; whoever closes looks again and goes on.
MOST_PARTS = 20


def instead(
    desk: Desk, request: OrderRequest, outcome: orders.Outcome, books: Books
) -> list[OrderRequest]:
    """Orders to be sent in the place of a refused close; what stands in its way is removed.

    Their ids follow from that of the close, so that a repetition finds them. What is told about it
    goes by ``books``: the store must not keep the position from being closed.
    """
    if outcome.state != "rejected":
        return []
    try:
        if outcome.reason.startswith(TOO_LARGE):
            return _parts(desk, request)
        if outcome.reason.startswith(OFF_GRID):
            return _rounded_up(desk, request)
        if outcome.reason.startswith((RESERVED, MARGINED)):
            _free(desk, request, books, reducing_only=outcome.reason.startswith(RESERVED))
    except ExchangeError:
        pass  # whoever closes looks again, and fails loudly in the end
    return []


def _parts(desk: Desk, request: OrderRequest) -> list[OrderRequest]:
    most = instrument_of(desk.exchange, request.symbol).market_max_quantity
    if not 0 < most < request.quantity:
        return []
    count = min(MOST_PARTS, int((request.quantity / most).to_integral_value(ROUND_CEILING)))
    return [
        msgspec.structs.replace(
            request,
            quantity=min(most, request.quantity - n * most),
            client_order_id=client_id(desk.account, request.client_order_id, "x", n),
        )
        for n in range(count)
    ]


def _rounded_up(desk: Desk, request: OrderRequest) -> list[OrderRequest]:
    rules = instrument_of(desk.exchange, request.symbol)
    steps = (request.quantity / rules.market_step_size).to_integral_value(ROUND_CEILING)
    quantity = max(steps * rules.market_step_size, rules.market_min_quantity)
    # Hedge mode refuses more than there is; in one-way mode reduce-only bounds it.
    if quantity == request.quantity or request.position_side != "BOTH":
        return []
    again = client_id(desk.account, request.client_order_id, "x")
    return [msgspec.structs.replace(request, quantity=quantity, client_order_id=again)]


def _free(desk: Desk, request: OrderRequest, books: Books, *, reducing_only: bool) -> None:
    """Cancel the orders of the close's side: those that reduce only, or all of them."""
    if not _still_held(desk, request):
        return  # refused because there is less to close: nothing was in the way
    for order in desk.exchange.open_orders(request.symbol):
        if order.side != request.side or (reducing_only and not order.reduce_only):
            continue
        try:
            desk.exchange.cancel_order(order.symbol, order.client_order_id)
        except ExchangeError as error:
            # The others may be all that is in the way.
            logging.getLogger("borsa").error("%s: %s", order.client_order_id, error)
            continue
        if not is_ours(order.client_order_id):
            logging.getLogger("borsa").warning("cancelled for a close: %s", order)
            books.write(partial(_tell, desk, order), None)


def _still_held(desk: Desk, request: OrderRequest) -> bool:
    return any(
        p.symbol == request.symbol
        and p.position_side == request.position_side
        and (p.quantity > 0) == (request.side == "SELL")
        and abs(p.quantity) >= request.quantity
        for p in desk.exchange.positions()
    )


def _tell(desk: Desk, order: VenueOrder) -> None:
    desk.alert(
        "warning",
        "reserving-order",
        f"{order.symbol}: an order that is not ours was cancelled",
        f"{order.client_order_id} ({order.side} {order.quantity} at {order.price}) had the "
        "position, or its margin, reserved, so that the exchange refused to close it.",
        correlation=f"reserving-{order.symbol}-{order.order_id}",
    )
