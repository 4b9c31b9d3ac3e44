"""A reducing order that leaves while the store fails; its record follows.

Nothing but this process knows of it until then, so nobody else may send under its id: each id is
one request of one run, and how that ended is how the order ended. Nobody could know without the
store that an earlier run has written an id down as never sent. What is closed twice so is reduced
only: two orders close no more than there is.
"""

from __future__ import annotations

import msgspec

from shared.errors import ExchangeError, ExchangeRejected, InvalidInput, OutcomeUnknown
from shared.execution import orders
from shared.execution.absence import CLAIM_MS
from shared.execution.desk import Desk
from shared.execution.exchange import OrderRequest, VenueOrder


def send(
    desk: Desk, request: OrderRequest, earlier: str | None = None
) -> tuple[OrderRequest, orders.Outcome]:
    """Send the order and follow it to its end. Touches no store.

    Parameters
    ----------
    request : OrderRequest
        Under an id that nobody has sent.
    earlier : str, optional
        The id of an order for the same that may be at the venue: found there, it is followed
        instead, and nothing is sent.

    Returns
    -------
    tuple
        The order that was sent, or found, and how it ended.

    Raises
    ------
    InvalidInput
        For an order that is not reduce-only: that one needs its intent first.
    """
    if not request.reduce_only:
        raise InvalidInput(f"{request.client_order_id} may add exposure: its intent comes first")
    order = None
    if earlier is not None:
        try:
            order = desk.exchange.order(request.symbol, earlier)
        except ExchangeError:
            pass
        else:
            if order is not None:
                request = msgspec.structs.replace(request, client_order_id=earlier)
    return request, _send(desk, request, order)


def _send(desk: Desk, request: OrderRequest, order: VenueOrder | None) -> orders.Outcome:
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
