"""Conditional orders: on endpoints of their own, invisible to those of plain orders."""

from __future__ import annotations

from shared.clock import Clock
from shared.errors import ExchangeRejected, InvalidInput, OutcomeUnknown
from shared.execution.binance import endpoints
from shared.execution.binance.answers import orders
from shared.execution.binance.endpoints import Priority
from shared.execution.binance.gateway import Gateway
from shared.execution.binance.orders import NOT_FOUND, cancelled, checked_id, duplicate, positive
from shared.execution.exchange import LIVE_ALGO, AlgoOrderRequest, VenueAlgoOrder


class AlgoOrders:
    """The conditional-order half of the exchange port."""

    def __init__(self, gateway: Gateway, clock: Clock) -> None:
        self._gateway = gateway
        self._clock = clock

    def place(self, request: AlgoOrderRequest, until: int | None = None) -> VenueAlgoOrder:
        params = _parameters(request)
        priority = Priority.EXIT if request.reduce_only else Priority.ENTRY
        refused: ExchangeRejected | None = None
        try:
            return self._gateway.fetch(
                endpoints.NEW_ALGO_ORDER,
                orders.algo_order,
                params,
                priority=priority,
                until=until,
            )
        except ExchangeRejected as error:
            if not duplicate(error):
                raise
            refused = error
        return self._adopt(request, refused)

    def _adopt(self, request: AlgoOrderRequest, refused: ExchangeRejected) -> VenueAlgoOrder:
        """The open order that already has the id, if it is the one that was meant."""
        found = self.find(request.client_algo_id)
        if found is None:
            raise OutcomeUnknown(
                f"the id of a conditional order is taken, yet it is not found: {refused}",
                code=refused.code,
                status=refused.status,
            )
        if (found.symbol, found.side, found.type, found.quantity, found.trigger_price) != (
            request.symbol,
            request.side,
            request.type,
            request.quantity,
            request.trigger_price,
        ):
            raise refused
        return found

    def find(self, client_algo_id: str) -> VenueAlgoOrder | None:
        try:
            return self._gateway.fetch(
                endpoints.GET_ALGO_ORDER,
                orders.algo_order,
                {"clientAlgoId": checked_id(client_algo_id)},
            )
        except ExchangeRejected as error:
            if error.code != NOT_FOUND:
                raise
            return None

    def open(self, symbol: str | None) -> list[VenueAlgoOrder]:
        endpoint = endpoints.OPEN_ALGO_ORDERS
        if symbol is None:
            return self._gateway.fetch(endpoint, orders.algo_orders, weight=endpoint.weight_all)
        return self._gateway.fetch(endpoint, orders.algo_orders, {"symbol": symbol})

    def placed(self, symbol: str, first: int, last: int) -> list[VenueAlgoOrder]:
        """At most a page of the orders placed in that closed span (UTC ms)."""
        params = {
            "symbol": symbol,
            "startTime": first,
            "endTime": last,
            "limit": endpoints.HISTORY_PAGE,
        }
        return self._gateway.fetch(endpoints.ALL_ALGO_ORDERS, orders.algo_orders, params)

    def cancel(self, client_algo_id: str) -> None:
        params = {"clientAlgoId": checked_id(client_algo_id)}
        cancelled(
            lambda: self._gateway.call(endpoints.CANCEL_ALGO_ORDER, params),
            lambda: self.find(client_algo_id),
            # Without a symbol the listing weighs 40; it is asked only for an id nobody knows.
            lambda: any(a.client_algo_id == client_algo_id for a in self.open(None)),
            lambda order: order.status not in LIVE_ALGO,
            self._clock,
        )

    def cancel_all(self, symbol: str) -> None:
        self._gateway.call(endpoints.CANCEL_ALL_ALGO_ORDERS, {"symbol": symbol})


def _parameters(request: AlgoOrderRequest) -> dict[str, object]:
    params: dict[str, object] = {
        "algoType": "CONDITIONAL",
        "symbol": request.symbol,
        "side": request.side,
        "type": request.type,
        "quantity": positive("quantity", request.quantity),
        "workingType": request.working_type,
        # Always given: the library would invent a random one and lose idempotency.
        "clientAlgoId": checked_id(request.client_algo_id),
    }
    if request.reduce_only:
        params["reduceOnly"] = "true"
    if request.type == "TRAILING_STOP_MARKET":
        if request.callback_rate is None or request.trigger_price is not None:
            raise InvalidInput("a trailing stop needs callback_rate and takes no trigger_price")
        params["callbackRate"] = positive("callback_rate", request.callback_rate)
        if request.activate_price is not None:
            params["activatePrice"] = positive("activate_price", request.activate_price)
        return params
    if request.trigger_price is None:
        raise InvalidInput(f"{request.type} needs trigger_price")
    if request.callback_rate is not None or request.activate_price is not None:
        raise InvalidInput(f"{request.type} takes neither callback_rate nor activate_price")
    params["triggerPrice"] = positive("trigger_price", request.trigger_price)
    return params
