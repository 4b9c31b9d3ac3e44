"""Plain orders: sent, found, cancelled, by client id."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

from shared.clock import Clock
from shared.errors import ExchangeRejected, InvalidInput, OutcomeUnknown
from shared.execution.binance import endpoints
from shared.execution.binance.answers import orders
from shared.execution.binance.endpoints import Priority
from shared.execution.binance.gateway import Gateway
from shared.execution.exchange import FINAL_ORDER, OrderRequest, VenueOrder

T = TypeVar("T")

#: Seconds before a not-found after a refused cancel is asked a second time.
LOOK_AGAIN = 0.5

NOT_FOUND = -2013
#: Codes of a cancel that found nothing open, or something already on its way.
NOT_OPEN = frozenset({-2011, -2013, -4117})
#: The venue accepts ``:`` and ``/`` too, but the library signs them differently than it sends.
_CLIENT_ID = re.compile(r"[A-Za-z0-9._-]{1,36}")


def plain(value: Decimal) -> str:
    """A decimal as Binance reads it: no exponent, nothing lost.

    Raises
    ------
    InvalidInput
        For NaN and infinities.
    """
    if not value.is_finite():
        raise InvalidInput(f"{value} cannot be sent to an exchange")
    return format(value, "f")


def checked_id(client_id: str) -> str:
    """A client id that survives signing.

    Raises
    ------
    InvalidInput
    """
    if not _CLIENT_ID.fullmatch(client_id):
        raise InvalidInput(f"client id {client_id!r} is not 1 to 36 of A-Z a-z 0-9 . _ -")
    return client_id


def positive(name: str, value: Decimal) -> str:
    """:func:`plain`, and above zero."""
    text = plain(value)
    if value <= 0:
        raise InvalidInput(f"{name} must be above zero, not {text}")
    return text


def duplicate(error: ExchangeRejected) -> bool:
    """Whether the venue refused because an open order has the id."""
    return error.code == -4116 or (error.code == -2010 and "duplicate" in str(error).lower())


def cancelled(
    cancel: Callable[[], object],
    find: Callable[[], T | None],
    listed: Callable[[], bool],
    over: Callable[[T], bool],
    clock: Clock,
) -> None:
    """Cancel until the order is known not to be open.

    A refused cancel says only that it found nothing to cancel. The order is looked up: final is
    success; still open is cancelled once more. Not found is believed after two looks some time
    apart and an absence from the open orders, because the venue's books lag behind one another.

    Raises
    ------
    OutcomeUnknown
        When the order is neither cancellable nor over (a stop that is triggering).
    """
    for last in (False, True):
        refused: ExchangeRejected | OutcomeUnknown | None = None
        try:
            cancel()
        except (ExchangeRejected, OutcomeUnknown) as error:
            if error.code not in NOT_OPEN:
                raise
            refused = error
        if refused is None:
            return
        found = find()
        if found is None:
            clock.sleep(LOOK_AGAIN)
            found = find()
            if found is None and not listed():
                return
        if found is not None and over(found):
            return
        if last:
            raise OutcomeUnknown(
                f"cancel refused though the order is not over: {refused}",
                code=refused.code,
                status=refused.status,
            )


class Orders:
    """The plain-order half of the exchange port."""

    def __init__(self, gateway: Gateway, clock: Clock) -> None:
        self._gateway = gateway
        self._clock = clock

    def place(self, request: OrderRequest, until: int | None = None) -> VenueOrder:
        params = _parameters(request)
        priority = Priority.EXIT if request.reduce_only else Priority.ENTRY
        refused: ExchangeRejected | None = None
        try:
            return self._gateway.fetch(
                endpoints.NEW_ORDER, orders.order, params, priority=priority, until=until
            )
        except ExchangeRejected as error:
            if not duplicate(error):
                raise
            refused = error
        return self._adopt(request, refused)

    def test(self, request: OrderRequest) -> None:
        """Checked by the venue, placed by nobody."""
        self._gateway.call(endpoints.TEST_ORDER, _parameters(request), priority=Priority.DATA)

    def _adopt(self, request: OrderRequest, refused: ExchangeRejected) -> VenueOrder:
        """The open order that already has the id, if it is the one that was meant."""
        found = self.find(request.symbol, request.client_order_id)
        if found is None:
            raise OutcomeUnknown(
                f"the id of an order is taken, yet it is not found: {refused}",
                code=refused.code,
                status=refused.status,
            )
        if (found.side, found.type, found.quantity) != (
            request.side,
            request.type,
            request.quantity,
        ):
            raise refused
        return found

    def find(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        return self._find({"symbol": symbol, "origClientOrderId": checked_id(client_order_id)})

    def behind(self, symbol: str, order_id: int) -> VenueOrder | None:
        """The order with the venue's own id, as its fills carry it."""
        return self._find({"symbol": symbol, "orderId": order_id})

    def _find(self, which: dict[str, object]) -> VenueOrder | None:
        try:
            return self._gateway.fetch(endpoints.GET_ORDER, orders.order, which)
        except ExchangeRejected as error:
            if error.code != NOT_FOUND:
                raise
            return None

    def open(self, symbol: str | None) -> list[VenueOrder]:
        endpoint = endpoints.OPEN_ORDERS
        if symbol is None:
            return self._gateway.fetch(endpoint, orders.orders, weight=endpoint.weight_all)
        return self._gateway.fetch(endpoint, orders.orders, {"symbol": symbol})

    def placed(self, symbol: str, first: int, last: int) -> list[VenueOrder]:
        """At most a page of the orders placed in that closed span (UTC ms)."""
        params = {
            "symbol": symbol,
            "startTime": first,
            "endTime": last,
            "limit": endpoints.HISTORY_PAGE,
        }
        return self._gateway.fetch(endpoints.ALL_ORDERS, orders.orders, params)

    def cancel(self, symbol: str, client_order_id: str) -> None:
        params = {"symbol": symbol, "origClientOrderId": checked_id(client_order_id)}
        cancelled(
            lambda: self._gateway.call(endpoints.CANCEL_ORDER, params),
            lambda: self.find(symbol, client_order_id),
            lambda: any(o.client_order_id == client_order_id for o in self.open(symbol)),
            lambda order: order.status in FINAL_ORDER,
            self._clock,
        )

    def cancel_all(self, symbol: str) -> None:
        self._gateway.call(endpoints.CANCEL_ALL_ORDERS, {"symbol": symbol})


def _parameters(request: OrderRequest) -> dict[str, object]:
    params: dict[str, object] = {
        "symbol": request.symbol,
        "side": request.side,
        "type": request.type,
        "quantity": positive("quantity", request.quantity),
        "newClientOrderId": checked_id(request.client_order_id),
        # The final state of market and immediate orders at once, instead of a bare NEW.
        "newOrderRespType": "RESULT",
    }
    if request.type == "LIMIT":
        if request.price is None or request.time_in_force is None:
            raise InvalidInput("a LIMIT order needs price and time_in_force")
        params["price"] = positive("price", request.price)
        params["timeInForce"] = request.time_in_force
    elif request.price is not None or request.time_in_force is not None:
        raise InvalidInput("a MARKET order takes neither price nor time_in_force")
    if request.position_side != "BOTH":
        # Hedge mode: the venue refuses the flag, and the closing side cannot open.
        if not request.reduce_only:
            raise InvalidInput("nothing is opened in hedge mode")
        params["positionSide"] = request.position_side
    elif request.reduce_only:
        # Text, because the library would send Python's "True".
        params["reduceOnly"] = "true"
    return params
