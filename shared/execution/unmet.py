"""Orders of a trade that nobody wrote down: the exchange is asked for all that there were.

An order that left while the store failed is written down by whoever sent it, or by whoever meets
it. One that ended before anybody looked, and whose sender is gone, is in no list of open orders.
Whoever books the trade is the last one to ask.
"""

from __future__ import annotations

from collections.abc import Collection

from shared.execution import adopt, orders
from shared.execution.desk import Desk
from shared.execution.ids import is_ours, leg_of
from shared.execution.order_records import CONDITIONAL_LEGS
from shared.execution.order_states import AGAIN
from shared.portfolio.positions import PositionRecord


def write_down(
    desk: Desk, record: PositionRecord, start: int, known: Collection[orders.OrderRecord]
) -> bool:
    """Record and audit the orders of a trade that our book does not have; whether there were any.

    Nor those that it holds for refused or never sent, and the exchange has all the same.

    Parameters
    ----------
    start : int
        From when on its orders may have been placed, UTC ms.
    known : collection of OrderRecord
        Those that it has.

    Raises
    ------
    ExchangeError
        When the exchange does not list them.
    """
    met = {k.id for k in known if k.state != "intent" and k.state not in AGAIN}
    algos = [
        a
        for a in desk.exchange.algo_history(record.id, start=start)
        if is_ours(a.client_algo_id) and a.client_algo_id not in met
    ]
    plain = [
        o
        for o in desk.exchange.order_history(record.id, start=start)
        # One that a conditional order has produced bears the id of that.
        if is_ours(o.client_order_id)
        and o.client_order_id not in met
        and leg_of(o.client_order_id) not in CONDITIONAL_LEGS
    ]
    for algo in algos:
        adopt.as_seen(desk, algo, record.decision_id)
    for order in plain:
        adopt.plain(desk, order, record.decision_id)
        orders.settle_as(desk, order.client_order_id, order)
    return bool(algos or plain)
