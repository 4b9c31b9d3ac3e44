"""A reducing order that leaves while the store fails; its record follows.

Nothing but this process knows of it until then, and nobody sends under its id but who closes the
same position in the same state. It is reduce-only: sent twice it closes no more than there is.
"""

from __future__ import annotations

from shared.errors import ExchangeError, ExchangeRejected, InvalidInput, OutcomeUnknown
from shared.execution import orders
from shared.execution.absence import CLAIM_MS
from shared.execution.desk import Desk
from shared.execution.exchange import OrderRequest


def send(desk: Desk, request: OrderRequest) -> orders.Outcome:
    """Find the order, or send it, and follow it to its end. Touches no store.

    Raises
    ------
    InvalidInput
        For an order that is not reduce-only: that one needs its intent first.
    """
    if not request.reduce_only:
        raise InvalidInput(f"{request.client_order_id} may add exposure: its intent comes first")
    try:
        # An earlier run may have sent it: the id follows from the position as it is.
        order = desk.exchange.order(request.symbol, request.client_order_id)
    except ExchangeError:
        order = None
    try:
        if order is None:
            until = desk.clock.now_ms() + CLAIM_MS
            order = desk.exchange.place_order(request, until=until)
        order = orders.await_final(desk, order, immediate=True)
    except OutcomeUnknown as error:
        return orders.Outcome(state="unknown", reason=str(error))
    except ExchangeRejected as error:
        return orders.Outcome(state="rejected", reason=f"{error.code} {error}")
    except ExchangeError as error:
        return orders.Outcome(state="not_sent", reason=str(error))
    return orders.Outcome(state=orders.state_of(order), order=order, reason=order.status)


def keep(
    desk: Desk, request: OrderRequest, decision_id: str, sent_at: int, outcome: orders.Outcome
) -> None:
    """Write down what :func:`send` did: the intent, then how it ended. Idempotent."""
    orders.store_intent(desk, orders.intent(desk, request, decision_id, sent_at))
    if outcome.order is not None:
        orders.settle_as(desk, request.client_order_id, outcome.order)
    else:
        orders.settle(desk, request.client_order_id, outcome.state, reason=outcome.reason)
