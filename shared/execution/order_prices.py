"""What our orders were executed at, written into their records.

The answer to a new order names no price (POST answers since 2026-07), and nothing waits for one
between a fill and its stop. So it is filled in afterwards: of an entry once its position is
protected, as the venue tells it; of every order of a trade when the trade is settled, from its
fills. A price that is missing hinders nothing.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from shared.errors import ExchangeError
from shared.execution import chase, orders
from shared.execution.desk import Desk
from shared.execution.exchange import Fill
from shared.execution.order_records import CONDITIONAL_LEGS, OrderRecord
from shared.portfolio.positions import PositionRecord
from shared.portfolio.trades import average_price
from shared.storage.records import readable
from shared.storage.store import Where, every


def of_entry(desk: Desk, decision_id: str) -> None:
    """Fill in what the orders of an entry were executed at."""
    for known in chase.entry_orders(desk, decision_id):
        if _lacks_price(known):
            try:
                order = desk.exchange.order(known.symbol, known.id)
            except ExchangeError as error:
                _untold(known, error)
                continue
            if order is not None and order.average_price is not None:
                orders.settle_as(desk, known.id, order)


def of_trade(desk: Desk, record: PositionRecord, fills: Sequence[Fill]) -> None:
    """Fill in what the orders of a trade were executed at.

    Parameters
    ----------
    fills : sequence of Fill
        All fills of the trade.
    """
    by_order: defaultdict[int, list[Fill]] = defaultdict(list)
    for fill in fills:
        by_order[fill.order_id].append(fill)
    for decision_id in filter(None, (record.decision_id, record.late_of)):
        where = [Where("decisionId", "=", decision_id), Where("state", "=", "filled")]
        mine = every(desk.store, orders.CONTAINER, desk.account, where=where)
        for known in readable(mine, OrderRecord):
            if _lacks_price(known):
                _price(desk, known, by_order)


def _price(desk: Desk, known: OrderRecord, by_order: defaultdict[int, list[Fill]]) -> None:
    conditional = known.leg in CONDITIONAL_LEGS
    try:
        number = _produced(desk, known) if conditional else known.venue_id
    except ExchangeError as error:
        _untold(known, error)
        return
    filled = by_order.get(number, []) if number is not None else []
    quantity = sum((f.quantity for f in filled), Decimal(0))
    # A plain order with fills elsewhere is no part of this trade alone. Of a conditional one the
    # record has the quantity that was asked for: the position may have been smaller by then.
    if not quantity or (not conditional and quantity != known.executed_quantity):
        return
    executed = max(quantity, known.executed_quantity)
    orders.settle(
        desk,
        known.id,
        "filled",
        executed_quantity=executed,
        average_price=average_price(filled),
    )


def _produced(desk: Desk, known: OrderRecord) -> int | None:
    """The venue's number of the plain order that a conditional one became."""
    algo = desk.exchange.algo_order(known.id)
    return None if algo is None else algo.order_id


def _lacks_price(known: OrderRecord) -> bool:
    return known.state == "filled" and known.average_price is None


def _untold(known: OrderRecord, error: ExchangeError) -> None:
    logging.getLogger("borsa").warning("order %s: its price is not told: %s", known.id, error)
